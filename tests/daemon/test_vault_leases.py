"""Credentials and certificates that end: replaced before they do, kept over a restart, given back at the end."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from stand_ins.vaulted import text

from confsync.testing.waiting import eventually

ROLES, ROTATIONS = 5, 4


class Consumer:
    """Uses the credentials in the files without a pause.

    Attributes:
        dead: what it found in a file and could not use.
        users: file -> every username it found there, in order.
    """

    def __init__(self, vaulted, server, names):
        self.dead = []
        self.users = {name: [] for name in names}
        self._vaulted, self._server = vaulted, server
        self._over = threading.Event()

    def run(self):
        while not self._over.wait(0.005):
            for name, users in self.users.items():
                self._use(self._vaulted.read(name), users)

    def _use(self, content, users):
        if content is None:
            return
        user, password = content.split()
        if self._server.credentials.get(user) != password:
            self.dead.append(content)
        if not users or users[-1] != user:
            users.append(user)

    @contextmanager
    def at_work(self):
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()


def creds(path):
    return f"{{% set db = vault('/{path}') %}}{{{{ db.username }}}} {{{{ db.password }}}}"


def grant(*mounts, capability="read"):
    return "\n".join(f'path "{mount}/*" {{ capabilities = ["{capability}"] }}' for mount in mounts)


def test_over_twenty_rotations_a_consumer_never_holds_a_dead_credential(vaulted, vault_server):
    """Five roles of two or three seconds, each rotated four times, each with a reload of its own."""
    mount, _ = vaulted.admin.database("2s", "2s")
    names = [f"role{number}" for number in range(ROLES)]
    for number, name in enumerate(names):
        vaulted.admin.database_role(mount, name, "1s" if number == 4 else "2s", "3s" if number == 4 else "2s")
    vaulted.configure(
        {
            name: text(
                creds(f"{mount}/creds/{name}"),
                name,
                reload=["sh", "-c", f"cat out/{name} >> {name}.log; echo >> {name}.log"],
            )
            for name in names
        },
        auth=vaulted.approle(grant(mount)),
        interval="1h",
    )
    consumer = Consumer(vaulted, vault_server, names)
    with consumer.at_work(), vaulted.daemon() as daemon:
        eventually(lambda: all(len(users) > ROTATIONS for users in consumer.users.values()), 30)
        eventually(lambda: all(one.state == "ok" for one in vaulted.syncs().values()))

    assert consumer.dead == []
    assert not daemon.lines("sync is stale")
    for name, users in consumer.users.items():
        reloaded = [line.split()[0] for line in (vaulted.root / f"{name}.log").read_text().splitlines()]
        assert reloaded[: len(users)] == users, "one reload for each rotation"
        assert vault_server.count("GET", f"{mount}/creds/{name}") == len(set(reloaded))
