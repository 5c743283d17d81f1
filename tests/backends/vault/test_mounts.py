"""Which engine a path belongs to: looked up once, configured where that is forbidden, forgotten when it changed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from confsync.driver import Address
from confsync.errors import Denied, Invalid, Unavailable
from confsync.testing.waiting import eventually
from confsync_backends.vault import mounts

LOOKUP = "sys/internal/ui/mounts/"


@pytest.fixture
def backend(connect):
    return connect()


def test_a_mount_is_looked_up_once_for_all_below_it(vault, vault_server, backend):
    mount = vault.admin.mount_kv()
    vault_server.forget_requests()
    for path in ("a", "b/c", "b/d", "none"):
        backend.fetch(Address(f"{mount}/{path}"))
    backend.names(mount)

    assert vault_server.count("GET", LOOKUP) == 1


def test_many_threads_agree(vault, backend):
    mount = vault.admin.mount_kv()
    vault.admin.put(mount, "a", {"n": 1})

    with ThreadPoolExecutor(8) as pool:
        secrets = list(pool.map(lambda _: backend.fetch(Address(f"{mount}/a")).data, range(32)))

    assert secrets == [{"n": 1}] * 32


def test_threads_that_need_a_mount_at_the_same_time_look_it_up_once(vault, vault_server, backend):
    mount = vault.admin.mount_kv()
    slow = vault_server.faults.late(0.5, path=LOOKUP)
    vault_server.forget_requests()

    with ThreadPoolExecutor(4) as pool:
        reads = [pool.submit(backend.fetch, Address(f"{mount}/{name}")) for name in "abcd"]
        assert [read.result(60).data for read in reads] == [None] * 4

    assert slow.hits == 1
    assert vault_server.count("GET", LOOKUP) == 1


def test_a_look_up_that_gets_no_answer_is_waited_for_once(vault, vault_server, connect, monkeypatch):
    waiting = []

    class Over(threading.Event):
        def wait(self, timeout=None):
            waiting.append(1)
            return super().wait(timeout)

    backend = connect(timeout="1h")
    mount = vault.admin.mount_kv()
    backend.fetch(Address(f"{vault.admin.mount_kv()}/a"))
    monkeypatch.setattr(mounts, "_LookUp", partial(mounts._LookUp, over=Over()))
    hanging = vault_server.faults.drop(delay=3600, path=LOOKUP, times=None)

    with ThreadPoolExecutor(4) as pool:
        reads = [pool.submit(backend.fetch, Address(f"{mount}/{name}")) for name in "abcd"]
        try:
            eventually(lambda: hanging.hits == 1 and len(waiting) == 3)
        finally:
            vault_server.faults.clear()
        errors = [read.exception(60) for read in reads]
    monkeypatch.undo()

    assert all(isinstance(error, Unavailable) and error.key is None for error in errors)
    assert hanging.hits == 1
    assert backend.fetch(Address(f"{mount}/a")).missing


def test_a_path_without_a_mount_is_told_for_itself_alone(vault, vault_server, connect):
    """Who waited for the look-up of another path, which failed, looks up its own."""
    mount = vault.admin.mount_kv()
    vault.admin.put(mount, "a", {"n": 1})
    policy = vault.admin.policy("one", f'path "{mount}/data/a" {{ capabilities = ["read"] }}')
    backend = connect([policy])
    slow = vault_server.faults.late(0.5, path=f"{LOOKUP}{mount}/none")

    with ThreadPoolExecutor(2) as pool:
        denied = pool.submit(backend.fetch, Address(f"{mount}/none/x"))
        eventually(lambda: slow.hits == 1)
        assert backend.fetch(Address(f"{mount}/a")).data == {"n": 1}
        assert isinstance(denied.exception(60), Denied)


def test_mounts_that_begin_alike_are_kept_apart(vault, backend):
    """`kv-x-1` is no prefix of the path `kv-x-10/...`: a mount ends at a slash."""
    first = vault.admin.mount_kv()
    second = f"{first}0"
    vault.admin.must("POST", f"sys/mounts/{second}", {"type": "kv", "options": {"version": "1"}})
    try:
        vault.admin.put(first, "a", {"is": "first"})
        vault.admin.must("PUT", f"{second}/a", {"is": "second"})

        assert backend.fetch(Address(f"{first}/a")).data == {"is": "first"}
        assert backend.fetch(Address(f"{second}/a")).data == {"is": "second"}
    finally:
        vault.admin.must("DELETE", f"sys/mounts/{second}")


def test_a_mount_path_may_have_slashes(vault, backend):
    mount = vault.admin.name("team") + "/kv/here"
    vault.admin.must("POST", f"sys/mounts/{mount}", {"type": "kv", "options": {"version": "1"}})
    try:
        vault.admin.must("PUT", f"{mount}/a/b", {"n": "1"})

        assert backend.fetch(Address(f"{mount}/a/b")).data == {"n": "1"}
    finally:
        vault.admin.must("DELETE", f"sys/mounts/{mount}")


def test_a_mount_that_does_not_exist_and_one_that_is_hidden_are_told_alike_with_both_causes(vault, connect):
    """Vault answers both with 403, so that nobody learns what there is."""
    hidden = vault.admin.mount_kv()
    own = vault.admin.mount_kv()
    backend = connect([vault.admin.policy("own", f'path "{own}/data/*" {{ capabilities = ["read"] }}')])

    for path in (f"{hidden}/prod/db", "no-such-mount/prod/db"):
        with pytest.raises(Denied) as denied:
            backend.fetch(Address(path))
        mount = path.partition("/")[0]
        assert denied.value.key == path
        assert f"reading {path}: no mount there, or the token's policies allow nothing on this path" in str(
            denied.value
        )
        assert f"mounts: {{{mount}: {{type: kv, version: 2}}}}" in denied.value.hint
    assert backend.fetch(Address(f"{own}/a")).missing == "there is no secret"


def test_a_mount_that_root_cannot_find(backend):
    with pytest.raises((Denied, Invalid), match="check the path"):
        backend.fetch(Address("no-such-mount/prod/db"))


def test_a_look_up_that_finds_nothing_is_invalid(vault_server, backend):
    vault_server.faults.answer(404, path=LOOKUP)

    with pytest.raises(Invalid, match="nothing is mounted there"):
        backend.fetch(Address("secret/db"))


def test_what_is_not_found_is_not_remembered(vault, vault_server, backend):
    vault_server.faults.answer(403, "permission denied", path=LOOKUP)
    mount = vault.admin.mount_kv()
    vault.admin.put(mount, "a", {"n": 1})
    with pytest.raises(Denied):
        backend.fetch(Address(f"{mount}/a"))

    assert backend.fetch(Address(f"{mount}/a")).data == {"n": 1}


@pytest.mark.parametrize("number", [1, 2])
def test_a_configured_mount_is_not_looked_up(vault, vault_server, connect, number):
    mount = vault.admin.mount_kv(version=number)
    vault.admin.put(mount, "a", {"n": "1"})
    backend = connect(mounts={mount: {"type": "kv", "version": number}})
    vault_server.forget_requests()

    assert backend.fetch(Address(f"{mount}/a")).data == {"n": "1"}
    assert vault_server.count("GET", LOOKUP) == 0


def test_a_configured_kv_is_version_2_unless_written(vault, connect):
    mount = vault.admin.mount_kv()
    vault.admin.put(mount, "a", {"n": "1"})

    assert connect(mounts={mount: {"type": "kv"}}).fetch(Address(f"{mount}/a")).data == {"n": "1"}


def test_a_mount_configured_with_the_wrong_version_is_told(vault, connect):
    mount = vault.admin.mount_kv()
    vault.admin.put(mount, "a", {"n": "1"})
    backend = connect(mounts={mount: {"type": "kv", "version": 1}})

    with pytest.raises(
        Invalid, match=r"taken for kv version 1, but answers otherwise.*mounts: of this source"
    ):
        backend.fetch(Address(f"{mount}/a"))


def remounted(vault, mount, number):
    vault.admin.must("DELETE", f"sys/mounts/{mount}")
    vault.admin.must("POST", f"sys/mounts/{mount}", {"type": "kv", "options": {"version": str(number)}})
    if number == 2:  # a real one takes a moment to set itself up
        eventually(lambda: vault.admin.call("GET", f"{mount}/config")[0] == 200)


def test_a_mount_upgraded_to_versions_is_found_out(vault, vault_server, backend):
    """A version 2 engine answers the old path with a 404 and a warning."""
    mount = vault.admin.mount_kv(version=1)
    vault.admin.put(mount, "a", {"n": "old"})
    assert backend.fetch(Address(f"{mount}/a")).data == {"n": "old"}
    remounted(vault, mount, 2)
    vault.admin.must("PUT", f"{mount}/data/a", {"data": {"n": "new"}})
    vault_server.forget_requests()

    assert backend.fetch(Address(f"{mount}/a")).data == {"n": "new"}
    assert vault_server.count("GET", LOOKUP) == 1
    assert backend.names(mount) == ("a",)


def test_a_mount_that_lost_its_versions_is_found_out(vault, backend):
    """What a version 1 engine has at `data/a` is not what version 2 answers with."""
    mount = vault.admin.mount_kv(version=2)
    vault.admin.put(mount, "a", {"n": "old"})
    assert backend.fetch(Address(f"{mount}/a")).version == 1
    remounted(vault, mount, 1)
    vault.admin.must("PUT", f"{mount}/data/a", {"n": "elsewhere"})
    vault.admin.must("PUT", f"{mount}/a", {"n": "new"})

    assert backend.fetch(Address(f"{mount}/a")).data == {"n": "new"}


def test_a_mount_that_is_gone_is_not_an_empty_one(vault, vault_server, backend):
    """All its secrets would seem to be missing."""
    mount = vault.admin.mount_kv()
    vault.admin.put(mount, "a", {"n": 1})
    known = backend.fetch(Address(f"{mount}/a"))
    vault.admin.must("DELETE", f"sys/mounts/{mount}")

    for ask in (
        lambda: backend.fetch(Address(f"{mount}/a")),
        lambda: backend.changed(Address(f"{mount}/a"), known),
        lambda: backend.names(mount),
    ):
        with pytest.raises((Denied, Invalid)):
            ask()


@pytest.mark.parametrize(
    "body",
    [
        '{"data": {"path": "other/", "type": "kv", "options": {"version": "2"}}}',
        '{"data": {"path": "secret/db/deeper/", "type": "kv"}}',
        '{"data": {"path": 7, "type": "kv"}}',
        '{"data": {"path": "secret/"}}',
        '{"data": null}',
    ],
)
def test_a_look_up_that_answers_something_else(vault_server, backend, body):
    vault_server.faults.no_json(body, path=LOOKUP)

    with pytest.raises(Unavailable, match="names no mount"):
        backend.fetch(Address("secret/db"))


@pytest.mark.parametrize("options", ["null", "{}", '{"version": "1"}'])
def test_kv_without_a_version_of_2_is_version_1(vault, vault_server, backend, options):
    """A version 1 engine mounted without options has none."""
    mount = vault.admin.mount_kv(version=1)
    vault.admin.put(mount, "a", {"n": "1"})
    body = f'{{"data": {{"path": "{mount}/", "type": "kv", "options": {options}}}}}'
    vault_server.faults.no_json(body, path=LOOKUP)

    assert backend.fetch(Address(f"{mount}/a")).data == {"n": "1"}


def test_a_cubbyhole_belongs_to_its_token(vault, connect):
    """It is read as version 1 is, which stands in for it here."""
    mount = vault.admin.mount_kv(version=1)
    vault.admin.put(mount, "a", {"n": "1"})
    backend = connect(mounts={mount: {"type": "cubbyhole"}})

    secret = backend.fetch(Address(f"{mount}/a"))

    assert secret.data == {"n": "1"}
    assert secret.session == backend.session != 0
    assert not backend.is_dynamic(Address(f"{mount}/a"))
