"""Credentials and certificates that end: replaced before they do, kept over a restart, given back at the end."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from stand_ins.vaulted import text

from confsync.testing.leaks import Leaks
from confsync.testing.waiting import eventually

ROLES, ROTATIONS = 11, 2


class Consumer:
    """Uses the credentials in the files without a pause; with a real Vault it only looks at them.

    Attributes:
        dead: what it found in a file and could not use.
        users: file -> every username it found there, in order.
    """

    def __init__(self, vaulted, names):
        self.dead = []
        self.users = {name: [] for name in names}
        self._vaulted = vaulted
        self._over = threading.Event()

    def run(self):
        while not self._over.wait(0.005):
            for name, users in self.users.items():
                self._use(name, self._vaulted.read(name), users)

    def _use(self, name, content, users):
        if content is None:
            return
        user, password = content.split()
        server = self._vaulted.server
        dead = server is not None and server.credentials.get(user) != password
        if dead and self._vaulted.read(name) == content:  # and not replaced between reading and using it
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


def test_over_twenty_rotations_a_consumer_never_holds_a_dead_credential(vaulted):
    """Eleven roles of eight seconds, one of them renewed on the way; each is rotated twice, each has a reload."""
    mount, _ = vaulted.admin.database("8s", "8s")
    names = [f"role{number}" for number in range(ROLES)]
    for number, name in enumerate(names):
        vaulted.admin.database_role(mount, name, "5s" if number == 0 else "8s", "8s")
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
    consumer = Consumer(vaulted, names)
    with vaulted.daemon() as daemon:
        with consumer.at_work():
            eventually(lambda: all(len(users) > ROTATIONS for users in consumer.users.values()), 90)
        assert consumer.dead == []
        assert not daemon.lines("sync is stale")
        eventually(lambda: all(one.state == "ok" for one in vaulted.syncs().values()))

    for name in names:
        reloaded = [line.split()[0] for line in (vaulted.root / f"{name}.log").read_text().splitlines()]
        assert len(reloaded) > ROTATIONS // 2  # of two in a moment a busy machine may make one
        assert reloaded[-1] == vaulted.read(name).split()[0]
        if vaulted.server is not None:
            assert len(reloaded) <= vaulted.server.count("GET", f"{mount}/creds/{name}"), "once each"


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
        now = datetime.now(UTC)
        if (self._directory / "..data").resolve() != version:
            return len(self.serials)  # replaced since
        certificate.verify_directly_issued_by(authority)
        if certificate.public_key() != key.public_key():
            self.wrong.append(f"{certificate.serial_number:x} has another key")
        if certificate.not_valid_after_utc <= now:
            self.wrong.append(f"{certificate.serial_number:x} is over")
        if certificate.serial_number not in self.serials:
            self.serials.append(certificate.serial_number)
        return len(self.serials)


def test_certificate_key_and_chain_belong_together_however_often_they_are_issued_anew(vaulted):
    """Once from a role that makes leases, once from one that makes none."""
    syncs, readers, policy = {}, {}, ""
    for name, leased in (("leased", True), ("unleased", False)):
        mount, role = vaulted.admin.pki("example.test", generate_lease=leased)
        issue = f"vault('/{mount}/issue/{role}', common_name='www.example.test', ttl='8s')"
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
        eventually(lambda: all(reader.look() > 2 for reader in readers.values()), 90)

    assert [reader.wrong for reader in readers.values()] == [[], []]


def user_of(vaulted, name="user"):
    return eventually(lambda: vaulted.read(name))


def test_a_credential_outlives_restarts_where_leases_are_kept_and_none_is_made_anew(vaulted):
    """Once after an orderly end, once after a kill; the state directory has nothing of it in clear."""
    mount, role = vaulted.admin.database("10m", "1h")
    path, auth = f"{mount}/creds/{role}", vaulted.approle(grant(mount))
    vaulted.configure({"user": text(creds(path), "user")}, auth=auth, keep_leases=True)
    with vaulted.daemon() as first:
        content = user_of(vaulted)
        vaulted.wait_state("user", "ok")
    before, (lease,) = vaulted.age("user"), vaulted.leases(path)

    killed = vaulted.daemon("--log-level", "debug")
    eventually(lambda: vaulted.renewal(lease))
    vaulted.wait_state("user", "ok")
    killed.kill()
    renewal = vaulted.renewal(lease)  # what was kept is renewed first of all: nobody knows if it is alive
    with vaulted.daemon() as last:
        eventually(lambda: vaulted.renewal(lease) != renewal)
        vaulted.wait_state("user", "ok")
        shown = [Path(f"/proc/{last.pid}/{name}").read_text() for name in ("cmdline", "environ")]
        shown.append(vaulted.confsync("status").stdout)

    assert (vaulted.read("user"), vaulted.age("user")) == (content, before)
    assert vaulted.leases(path) == [lease]
    assert vaulted.logins(auth) == 1
    tokens = [one.token for one in vaulted.server.requests if "/creds/" in one.path] if vaulted.server else []
    leaks = Leaks([*content.split(), *tokens])
    assert leaks.find_in_files(vaulted.state) == {}
    logs = [one.log() for one in (first, killed, last)]
    assert [found for one in [*shown, *logs] for found in leaks.find(one)] == []


def test_what_is_revoked_at_the_end_is_as_configured(vaulted):
    """Four sources of one daemon, each with a login of its own."""
    mount, _ = vaulted.admin.database("1h", "2h")
    vaulted.put("db", password="pw")
    logins = {"static": vaulted.approle()}
    syncs = {"static": text("{{ static('db').password }}", "static")}
    for revoke in ("always", "never", "unless_leased"):
        vaulted.admin.database_role(mount, revoke, "1h", "2h")
        logins[revoke] = vaulted.approle(grant(mount))
        read = creds(f"{mount}/creds/{revoke}").replace("vault(", f"{revoke}(")
        syncs[revoke] = text(read, revoke)
    vaulted.config(
        sources={
            name: vaulted.source(auth, **({} if name == "static" else {"revoke": name}))
            for name, auth in logins.items()
        },
        syncs=syncs,
        environments={"prod": dict.fromkeys(logins, vaulted.kv)},
        defaults={"environment": "prod"},
    )
    with vaulted.daemon() as daemon:
        for name in syncs:
            user_of(vaulted, name)
        assert {name: vaulted.logins(auth) for name, auth in logins.items()} == dict.fromkeys(logins, 1)

    def left():
        leases = {name: len(vaulted.leases(f"{mount}/creds/{name}")) for name in logins}
        return {name: (vaulted.logins(auth), leases[name]) for name, auth in logins.items()}

    # A real Vault takes a moment to end the leases of a login.
    wanted = {"static": (0, 0), "always": (0, 0), "never": (1, 1), "unless_leased": (1, 1)}
    eventually(lambda: left() == wanted)
    assert not daemon.lines("could not be revoked")


def test_a_killed_daemon_that_kept_nothing_makes_one_new_credential(vaulted):
    mount, role = vaulted.admin.database("1h", "2h")
    path = f"{mount}/creds/{role}"
    vaulted.configure({"user": text(creds(path), "user")}, auth=vaulted.approle(grant(mount)))
    killed = vaulted.daemon()
    old = user_of(vaulted)
    killed.signal(signal.SIGKILL)
    killed.kill()
    with vaulted.daemon():
        eventually(lambda: vaulted.read("user") not in (None, old))
        vaulted.wait_state("user", "ok")

        assert len(vaulted.leases(path)) == 2
