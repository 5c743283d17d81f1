"""Vault down, sealed, busy, half-answering, hanging: targets keep their last good content, and all comes back."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from itertools import pairwise
from time import monotonic

import pytest
from stand_ins.vaulted import text

from confsync.testing.daemon import DaemonProcess
from confsync.testing.waiting import eventually, pause

PATIENT = """
import sys
from confsync.__main__ import main
from confsync.source import asking
asking._PATIENCE_FOLLOWED = 60.0
sys.exit(main())
"""
"""A confsync whose patience with a busy store outlasts a machine that is busy itself."""


def configure(vaulted, timeout="30s", **options):
    """One sync that reads Vault, and one that stands on a file."""
    vaulted.put("db", password="pw1")
    syncs = {
        "app": text("{{ vault('db').password }}", "app"),
        "other": text("{{ values('host') }}", "other"),
    }
    vaulted.configure(syncs, interval="300ms", timeout=timeout, **options)


def recovers(vaulted, password):
    """A new value arrives, and all is well."""
    vaulted.wait_state("app", "ok")
    vaulted.put("db", password=password)
    vaulted.wait_content("app", password)
    vaulted.wait_state("app", "ok")


def test_a_vault_that_is_down_at_the_start_stops_nobody_else_and_is_waited_for(vaulted, vault_server):
    configure(vaulted)
    vault_server.stop()
    with vaulted.daemon() as daemon:
        vaulted.wait_content("other", "db1")
        assert vaulted.wait_state("app", "failed", detail="connection refused").applied_at is None
        assert vaulted.read("app") is None
        daemon.wait_log("source cannot be read", source="vault")

        vault_server.start()

        vaulted.wait_content("app", "pw1")
        vaulted.wait_state("app", "ok")
        daemon.wait_log("source answers again", source="vault")


def test_a_vault_that_is_down_at_a_later_start_leaves_the_file_and_says_stale(vaulted, vault_server):
    configure(vaulted)
    assert vaulted.confsync("apply").returncode == 0
    before = vaulted.age("app")
    vault_server.stop()
    with vaulted.daemon():
        vaulted.wait_state("app", "stale", detail="connection refused")

        vault_server.start()

        vaulted.wait_state("app", "ok")
        assert vaulted.age("app") == before


def test_a_vault_that_goes_down_is_stale_with_its_age_and_drift_is_still_healed(vaulted, vault_server):
    configure(vaulted)
    with vaulted.daemon() as daemon:
        vaulted.wait_content("app", "pw1")
        vaulted.wait_state("app", "ok")

        vault_server.stop()

        assert vaulted.wait_state("app", "stale", detail="connection refused").since > 0
        status = vaulted.confsync("status")
        assert status.returncode == 2
        assert "app  stale for " in status.stdout
        assert "other  ok" in status.stdout
        (vaulted.out / "app").write_text("wrong")
        vaulted.wait_content("app", "pw1")
        daemon.wait_log("target healed", sync="app")
        vaulted.values({"host": "db2"})
        vaulted.wait_content("other", "db2")

        vault_server.start()

        recovers(vaulted, "pw2")


def seal(server, kv):
    server.seal()


def restart_sealed(server, kv):
    server.restart(sealed=True)


def fail_inside(server, kv):
    server.faults.broken(times=None)


def answer_pages(server, kv):
    server.faults.no_json(times=None)


def cut_answers(server, kv):
    server.faults.cut(20, path=kv, times=None)


def hang_up(server, kv):
    server.faults.drop(times=None)


def hang(server, kv):
    server.faults.late(30, times=None)


def be_standby(server, kv):
    server.faults.answer(473, times=None)


LASTING = {
    seal: "it is sealed",
    restart_sealed: "it is sealed",
    fail_inside: "it failed inside",
    answer_pages: "the answer is not a whole JSON object",
    cut_answers: "the connection broke before the whole answer was here",
    hang_up: "the connection broke before the whole answer was here",
    hang: "no whole answer within 1s",
    be_standby: "this node is a performance standby",
}


def test_whatever_vault_answers_instead_of_secrets_is_stale_and_no_target_changes(vaulted, vault_server):
    """One daemon, one trouble after the other."""
    configure(vaulted, timeout="1s")
    with vaulted.daemon() as daemon:
        vaulted.wait_content("app", "pw1")
        before = vaulted.age("app")
        daemon.wait_log("target created", sync="app")
        failed = len(daemon.lines("sync failed"))
        for inflict, said in LASTING.items():
            vaulted.wait_state("app", "ok")

            inflict(vault_server, vaulted.kv)

            vaulted.wait_state("app", "stale", detail=said)
            assert vaulted.age("app") == before
            vault_server.faults.clear()
            vault_server.unseal()
        assert len(daemon.lines("sync failed")) == failed
        recovers(vaulted, "pw2")


def wait_answers(server, kv):
    """Wait until the daemon has looked once more, with success."""
    server.forget_requests()
    eventually(lambda: [one for one in server.requests if one.status == 200 and kv in one.path])


@contextmanager
def patient(vaulted):
    """A daemon that runs PATIENT."""
    arguments = vaulted.command("run", "--log-format", "json")
    program = arguments.index("confsync") + 1
    with DaemonProcess([sys.executable, "-c", PATIENT, *arguments[program:]], vaulted.root) as daemon:
        daemon.wait_log("confsync is running")
        yield daemon


@contextmanager
def asleep(daemon):
    """It does nothing meanwhile, so that it does not find a server in the moment in which none listens."""
    pause(daemon.pid)
    yield
    daemon.signal(signal.SIGCONT)


def test_what_passes_by_itself_is_no_failure(vaulted, vault_server):
    """Busy (with and without Retry-After), behind, a standby, half an answer, no answer, a restart: each twice."""
    configure(vaulted)
    kv, faults = vaulted.kv, vault_server.faults
    passing = (
        lambda: faults.rate_limited(1, path=kv),
        lambda: faults.rate_limited(times=2, path=kv),
        lambda: faults.stale(times=2, path=kv),
        lambda: faults.answer(473, times=2, path=kv),
        lambda: faults.cut(20, times=2, path=kv),
        lambda: faults.drop(times=2, path=kv),
    )
    with patient(vaulted) as daemon:
        vaulted.wait_content("app", "pw1")
        before = vaulted.age("app")
        for inflict in passing:
            fault = inflict()
            eventually(lambda fault=fault: not fault.times)
            wait_answers(vault_server, kv)
        with asleep(daemon):
            vault_server.restart()
        wait_answers(vault_server, kv)

        assert not daemon.lines("sync is stale")
        assert not daemon.lines("cannot be read")
        assert vaulted.age("app") == before
        recovers(vaulted, "pw2")


def test_a_storm_of_429_is_waited_out_as_told_and_fails_nobody(vaulted, vault_server):
    """Everything is refused three times; whoever is told to wait for one second does."""
    paths = [f"app{number}" for number in range(20)]
    for path in paths:
        vaulted.put(path, password=path)
    vaulted.configure({path: text(f"{{{{ vault('{path}').password }}}}", path) for path in paths})
    refused = []

    def storm(method, path):
        refused.append(monotonic())
        return True

    vault_server.faults.rate_limited(1, times=3, when=storm)

    done = vaulted.confsync("apply")

    assert (done.returncode, done.stderr) == (0, "")
    assert {path: vaulted.read(path) for path in paths} == {path: path for path in paths}
    assert len(refused) == 3
    assert min(later - earlier for earlier, later in pairwise(refused)) >= 1


def configure_many(vaulted, timeout):
    """More syncs than workers want Vault from the start, and one does not."""
    vaulted.put("db", password="pw1")
    names = [f"app{number}" for number in range(12)]
    many = {name: text("{{ vault('db').password }}", name) for name in names}
    other = text("{{ values('host') }}", "other")
    vaulted.configure({**many, "other": other}, timeout=timeout, auth=vaulted.approle())
    return names


def test_a_vault_that_hangs_holds_up_nobody_else(vaulted, vault_server):
    """Nobody who waits for Vault gets as far as to give up."""
    configure_many(vaulted, timeout="1h")
    vault_server.faults.late(3600, times=None)
    vaulted.daemon()
    for turn in range(5):
        vaulted.values({"host": f"turn {turn}"})
        vaulted.wait_content("other", f"turn {turn}")


def test_a_vault_that_hung_is_read_by_all_when_it_answers_again_and_holds_up_no_end(vaulted, vault_server):
    names = configure_many(vaulted, timeout="1s")
    vault_server.faults.late(3600, times=None)
    with vaulted.daemon() as daemon:
        daemon.wait_log("source cannot be read", source="vault")
        vaulted.values({"host": "db2"})
        vaulted.wait_content("other", "db2")

        vault_server.faults.clear()

        for name in names:
            vaulted.wait_content(name, "pw1")
        vault_server.faults.late(3600, times=None)


@pytest.mark.parametrize("end", ["revoked", "over"])
def test_a_login_that_ends_is_made_anew_and_no_target_changes(vaulted, vault_server, end):
    auth = vaulted.approle(token_ttl="1h", token_max_ttl="1h")
    configure(vaulted, auth=auth)
    login = f"auth/{auth['mount']}/login"
    with vaulted.daemon() as daemon:
        vaulted.wait_content("app", "pw1")
        before = vaulted.age("app")

        if end == "revoked":
            reads = (one for one in vault_server.requests if one.method == "GET")
            token = next(one.token for one in reads if one.path.endswith("/data/db"))
            vaulted.admin.must("POST", "auth/token/revoke", {"token": token})
        else:
            vault_server.advance(2 * 3600)

        eventually(lambda: vault_server.count("POST", login) == 2)
        recovers(vaulted, "pw2")
        assert vaulted.age("app") != before
        assert not daemon.lines("sync is stale")
        daemon.wait_log("target updated", sync="app")
        assert len(daemon.lines("target updated", sync="app")) == 1
        assert vault_server.count("POST", login) == 2
