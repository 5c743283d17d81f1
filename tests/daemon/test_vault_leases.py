"""Credentials and certificates that end: replaced before they do, kept over a restart, given back at the end."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from stand_ins.vaulted import text

from confsync.testing.leaks import Leaks
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


class Reader:
    """Opens a directory target's files as a server does that was told to reload, and checks that they belong together.

    Attributes:
        serials: of the certificates seen, in order.
        wrong: what did not belong together, or was over.
    """

    def __init__(self, directory):
        self.serials = []
        self.wrong = []
        self._directory = directory

    def look(self):
        try:
            version = (self._directory / "..data").resolve(strict=True)
            found = [(version / name).read_bytes() for name in ("tls.crt", "tls.key", "ca.crt")]
        except FileNotFoundError:
            return len(self.serials)  # not there yet, or replaced while we read it
        certificate, key, authority = (
            x509.load_pem_x509_certificate(found[0]),
            load_pem_private_key(found[1], None),
            x509.load_pem_x509_certificate(found[2]),
        )
        certificate.verify_directly_issued_by(authority)
        if certificate.public_key() != key.public_key():
            self.wrong.append(f"{certificate.serial_number:x} has another key")
        if certificate.not_valid_after_utc <= datetime.now(UTC):
            self.wrong.append(f"{certificate.serial_number:x} is over")
        if certificate.serial_number not in self.serials:
            self.serials.append(certificate.serial_number)
        return len(self.serials)


def test_certificate_key_and_chain_belong_together_however_often_they_are_issued_anew(vaulted):
    """Once from a role that makes leases, once from one that makes none."""
    syncs, readers, policy = {}, {}, ""
    for name, leased in (("leased", True), ("unleased", False)):
        mount, role = vaulted.admin.pki("example.test", generate_lease=leased)
        issue = f"vault('/{mount}/issue/{role}', common_name='www.example.test', ttl='3s')"
        syncs[name] = {
            "templates": {
                "tls.crt": {"inline": f"{{{{ {issue}.certificate }}}}"},
                "tls.key": {"inline": f"{{{{ {issue}.private_key }}}}"},
                "ca.crt": {"inline": f"{{{{ {issue}.issuing_ca }}}}"},
            },
            "to": {"directory": f"out/{name}"},
        }
        policy += grant(mount, capability="update")
        readers[name] = Reader(vaulted.out / name)
    vaulted.configure(syncs, auth=vaulted.approle(policy), interval="1h")
    with vaulted.daemon():
        eventually(lambda: all(reader.look() > 3 for reader in readers.values()), 40)

    assert [reader.wrong for reader in readers.values()] == [[], []]


def user_of(vaulted, name="user", within=10):
    return eventually(lambda: vaulted.read(name), within)


def test_a_credential_outlives_restarts_where_leases_are_kept_and_none_is_made_anew(vaulted, vault_server):
    """Once after an orderly end, once after a kill; the state directory has nothing of it in clear."""
    mount, role = vaulted.admin.database("4s", "1h")
    vaulted.configure(
        {"user": text(creds(f"{mount}/creds/{role}"), "user")},
        auth=vaulted.approle(grant(mount)),
        keep_leases=True,
    )
    with vaulted.daemon():
        content = user_of(vaulted)
        vaulted.wait_state("user", "ok")
    user, password = content.split()
    token = next(one.token for one in vault_server.requests if "/creds/" in one.path)
    before = vaulted.age("user")

    killed = vaulted.daemon()
    eventually(lambda: vault_server.count("PUT", "sys/leases/renew") >= 1)
    vaulted.wait_state("user", "ok")
    killed.kill()
    with vaulted.daemon():
        renewals = vault_server.count("PUT", "sys/leases/renew")
        eventually(lambda: vault_server.count("PUT", "sys/leases/renew") > renewals + 1, 10)
        vaulted.wait_state("user", "ok")

        assert vault_server.credential_alive(user)
    assert (vaulted.read("user"), vaulted.age("user")) == (content, before)
    assert vault_server.count("GET", f"{mount}/creds") == 1
    assert Leaks([user, password, token]).find_in_files(vaulted.state) == {}


def test_what_is_revoked_at_the_end_is_as_configured(vaulted, vault_server):
    """Four sources of one daemon, each with a login of its own."""
    mount, _ = vaulted.admin.database("1h", "2h")
    vaulted.put("db", password="pw")
    sources = {"static": vaulted.source(vaulted.approle())}
    syncs = {"static": text("{{ static('db').password }}", "static")}
    for revoke in ("always", "never", "unless_leased"):
        vaulted.admin.database_role(mount, revoke, "1h", "2h")
        sources[revoke] = vaulted.source(vaulted.approle(grant(mount)), revoke=revoke)
        read = creds(f"{mount}/creds/{revoke}").replace("vault(", f"{revoke}(")
        syncs[revoke] = text(read, revoke)
    environments = {"prod": dict.fromkeys(sources, vaulted.kv)}
    vaulted.config(sources=sources, syncs=syncs, environments=environments, defaults={"environment": "prod"})
    with vaulted.daemon() as daemon:
        users = {name: user_of(vaulted, name).split()[0] for name in syncs}
        reads = [one for one in vault_server.requests if one.status == 200 and one.method == "GET"]
        tokens = {one.path.rpartition("/")[2]: one.token for one in reads}
        tokens["static"] = next(one.token for one in reads if one.path == f"/v1/{vaulted.kv}/data/db")

    alive = {name: vault_server.token_alive(tokens[name]) for name in syncs}
    assert alive == {"static": False, "always": False, "never": True, "unless_leased": True}
    del users["static"]
    assert {name: vault_server.credential_alive(user) for name, user in users.items()} == {
        "always": False,
        "never": True,
        "unless_leased": True,
    }
    assert not daemon.lines("could not be revoked")


def test_a_killed_daemon_that_kept_nothing_makes_one_new_credential(vaulted, vault_server):
    mount, role = vaulted.admin.database("1h", "2h")
    vaulted.configure(
        {"user": text(creds(f"{mount}/creds/{role}"), "user")}, auth=vaulted.approle(grant(mount))
    )
    killed = vaulted.daemon()
    old = user_of(vaulted)
    killed.signal(signal.SIGKILL)
    killed.kill()
    with vaulted.daemon():
        new = eventually(lambda: vaulted.read("user") not in (None, old) and vaulted.read("user"), 10)
        vaulted.wait_state("user", "ok")

        assert vault_server.credential_alive(new.split()[0])
        assert vault_server.count("GET", f"{mount}/creds") == 2
