"""Key-value secrets: what is read, what is missing and why, what counts as a change, and by how many calls."""

from __future__ import annotations

import os

import pytest
from stand_ins.vault.fixtures import ADDRESS

from confsync.driver import Address, Secret
from confsync.errors import Denied, Invalid, Unavailable
from confsync.testing.waiting import eventually

METADATA = (("metadata", ""),)


@pytest.fixture
def mount(vault):
    return vault.admin.mount_kv()


@pytest.fixture
def backend(connect):
    return connect()


def version(number):
    return (("version", str(number)),)


def write(vault, mount, path, count=1):
    for number in range(1, count + 1):
        vault.admin.put(mount, path, {"n": number})


def test_the_latest_version_is_read(vault, mount, backend):
    write(vault, mount, "prod/db", 2)

    secret = backend.fetch(Address(f"{mount}/prod/db"))

    assert (secret.data, secret.version, secret.missing, secret.lease, secret.session) == (
        {"n": 2},
        2,
        "",
        None,
        0,
    )
    assert abs(secret.created - backend.fetch(Address(f"{mount}/prod/db", METADATA)).created) < 1


def test_values_keep_their_types(vault, mount, backend):
    values = {
        "text": "ü", "n": 7, "big": 2**60, "half": 0.5, "on": True, "none": None, "list": [1, "a"], "nested": {"x": {}},
    }  # fmt: skip
    vault.admin.put(mount, "api", values)

    assert backend.fetch(Address(f"{mount}/api")).data == values


def test_a_version_that_is_asked_for(vault, mount, backend):
    write(vault, mount, "db", 3)

    assert backend.fetch(Address(f"{mount}/db", version(1))).data == {"n": 1}
    assert backend.fetch(Address(f"{mount}/db", version(0))).data == {"n": 3}


def test_nothing_of_a_secret_is_in_its_repr(vault, mount, backend):
    vault.admin.put(mount, "db", {"password": "hunter2"})

    assert "hunter2" not in repr(backend.fetch(Address(f"{mount}/db")))


# Missing is told apart.


def test_no_secret(mount, backend):
    secret = backend.fetch(Address(f"{mount}/nothing/here"))

    assert secret == Secret(None, missing="there is no secret")


def test_a_deleted_version_says_when(vault, mount, backend):
    write(vault, mount, "db", 2)
    vault.admin.must("DELETE", f"{mount}/data/db")

    secret = backend.fetch(Address(f"{mount}/db"))

    when = vault.admin.must("GET", f"{mount}/metadata/db")["data"]["versions"]["2"]["deletion_time"]
    assert secret.data is None
    assert secret.version == 2
    assert secret.missing == f"version 2 was deleted on {when[:10]} {when[11:19]}Z"


def test_a_destroyed_version_says_so(vault, mount, backend):
    write(vault, mount, "db", 3)
    vault.admin.must("POST", f"{mount}/destroy/db", {"versions": [2]})

    assert backend.fetch(Address(f"{mount}/db", version(2))).missing == "version 2 was destroyed"
    assert backend.fetch(Address(f"{mount}/db")).data == {"n": 3}


def test_a_version_that_never_was_names_the_latest(vault, mount, backend):
    write(vault, mount, "db", 3)

    assert (
        backend.fetch(Address(f"{mount}/db", version(9))).missing == "there is no version 9 (the latest is 3)"
    )
    assert backend.fetch(Address(f"{mount}/none", version(9))).missing == "there is no secret"


def test_a_version_that_never_was_where_metadata_is_hidden(vault, mount, connect):
    write(vault, mount, "db")
    backend = connect([vault.admin.policy("data", f'path "{mount}/data/*" {{ capabilities = ["read"] }}')])

    secret = backend.fetch(Address(f"{mount}/db", version(9)))

    assert secret.missing == "there is no version 9, or no secret at all (its metadata may not be read)"


def test_a_secret_deleted_with_its_metadata_is_no_secret(vault, mount, backend):
    write(vault, mount, "db")
    vault.admin.must("DELETE", f"{mount}/metadata/db")

    assert backend.fetch(Address(f"{mount}/db")).missing == "there is no secret"


def test_a_version_that_fell_off_the_end_is_none(vault, mount, backend):
    vault.admin.must("POST", f"{mount}/metadata/db", {"max_versions": 2})
    write(vault, mount, "db", 3)

    assert (
        backend.fetch(Address(f"{mount}/db", version(1))).missing == "there is no version 1 (the latest is 3)"
    )


@pytest.mark.parametrize("asked", ["", "-1", "latest", "1.5", "²", "9" * 30])
def test_a_version_that_is_no_number(mount, backend, asked):
    with pytest.raises(Invalid, match=r"is no version.*write \?version=3"):
        backend.fetch(Address(f"{mount}/db", (("version", asked),)))


@pytest.mark.parametrize(
    "parameters", [(("ttl", "1h"),), (("metadata", ""), ("version", "1")), (("metadata", "x"),)]
)
def test_a_parameter_kv_does_not_know(mount, backend, parameters):
    with pytest.raises(Invalid, match="a kv secret takes no"):
        backend.fetch(Address(f"{mount}/db", parameters))


# Metadata.


def test_a_secrets_metadata(vault, mount, backend):
    write(vault, mount, "db", 2)

    secret = backend.fetch(Address(f"{mount}/db", METADATA))

    told = vault.admin.must("GET", f"{mount}/metadata/db")["data"]
    assert secret.version == 2
    assert secret.data == {
        "current_version": 2,
        "created_time": told["created_time"],
        "updated_time": told["updated_time"],
        "custom_metadata": told.get("custom_metadata") or {},
        "deletion_time": "",
    }


def test_metadata_of_a_deleted_version(vault, mount, backend):
    write(vault, mount, "db")
    vault.admin.must("DELETE", f"{mount}/data/db")

    assert backend.fetch(Address(f"{mount}/db", METADATA)).data["deletion_time"].endswith("Z")


def test_metadata_of_no_secret(mount, backend):
    assert backend.fetch(Address(f"{mount}/db", METADATA)) == Secret(None, missing="there is no secret")


def test_metadata_that_changed(vault, mount, backend):
    write(vault, mount, "db")
    known = backend.fetch(Address(f"{mount}/db", METADATA))

    assert not backend.changed(Address(f"{mount}/db", METADATA), known)
    write(vault, mount, "db")
    assert backend.changed(Address(f"{mount}/db", METADATA), known)


# Changed or not.


def delete(vault, mount):
    vault.admin.call("DELETE", f"{mount}/data/db")


def undelete(vault, mount):
    vault.admin.call("POST", f"{mount}/undelete/db", {"versions": [2]})


def destroy(vault, mount):
    vault.admin.call("POST", f"{mount}/destroy/db", {"versions": [2]})


def remove(vault, mount):
    vault.admin.call("DELETE", f"{mount}/metadata/db")


def add(vault, mount):
    vault.admin.put(mount, "db", {"n": 9})


def destroy_another(vault, mount):
    vault.admin.call("POST", f"{mount}/destroy/db", {"versions": [1]})


def nothing(vault, mount):
    pass


@pytest.mark.parametrize("step", [delete, destroy, remove, add, destroy_another, nothing])
@pytest.mark.parametrize("before", [nothing, delete, destroy, remove])
@pytest.mark.parametrize("parameters", [(), version(2)], ids=["latest", "version 2"])
def test_changed_says_whether_fetch_would_answer_otherwise(vault, mount, backend, before, step, parameters):
    """The rule itself, over every pair of states."""
    address = Address(f"{mount}/db", parameters)
    write(vault, mount, "db", 2)
    before(vault, mount)
    known = backend.fetch(address)
    step(vault, mount)

    now = backend.fetch(address)

    # How there is no such version (no secret at all, or only older ones) is for messages.
    assert backend.changed(address, known) == (now != known and bool(now.version or known.version))
    assert not backend.changed(address, now)


def test_undeleting_is_a_change(vault, mount, backend):
    write(vault, mount, "db", 2)
    delete(vault, mount)
    known = backend.fetch(Address(f"{mount}/db"))
    undelete(vault, mount)

    assert backend.changed(Address(f"{mount}/db"), known)


def test_a_version_asked_for_does_not_change_by_a_newer_one(vault, mount, backend):
    address = Address(f"{mount}/db", version(1))
    write(vault, mount, "db", 1)
    known = backend.fetch(address)
    add(vault, mount)

    assert not backend.changed(address, known)


def test_a_version_that_comes_to_be_is_a_change(vault, mount, backend):
    address = Address(f"{mount}/db", version(2))
    write(vault, mount, "db", 1)
    known = backend.fetch(address)
    assert not backend.changed(address, known)
    add(vault, mount)

    assert backend.changed(address, known)


def test_what_is_written_to_be_deleted_later_changes_then(vault, mount, backend, request):
    server = None if os.environ.get(ADDRESS) else request.getfixturevalue("vault_server")
    if server is not None:
        server.clock.stop()  # however slow the machine is, it is not deleted yet
    vault.admin.must("POST", f"{mount}/metadata/db", {"delete_version_after": "5s"})
    write(vault, mount, "db", 1)
    address = Address(f"{mount}/db")
    known = backend.fetch(address)
    assert known.data == {"n": 1}
    assert not backend.changed(address, known)

    if server is not None:
        server.advance(6)
    eventually(lambda: backend.changed(address, known))
    # Up to a second early: Vault tells its time in whole seconds.
    eventually(lambda: backend.fetch(address).missing.startswith("version 1 was deleted on "))


def test_what_vault_has_just_deleted_is_deleted_whatever_its_date_header_says(vault_server, mount, backend):
    """The header has whole seconds only."""
    backend.names(mount)
    body = '{"data": {"data": null, "metadata": {"version": 1, "deletion_time": "2026-11-21T03:27:36.9Z"}}}'
    headers = {"Date": "Sat, 21 Nov 2026 03:27:36 GMT"}
    # A 404 without `errors` is known as Vault's by its request_id.
    told = body.replace('{"data"', '{"request_id": "x", "data"', 1)
    vault_server.faults.no_json(told, status=404, headers=headers, path=f"{mount}/data/db")

    secret = backend.fetch(Address(f"{mount}/db"))

    assert secret == Secret(None, missing="version 1 was deleted on 2026-11-21 03:27:36Z", version=1)


def test_looking_costs_one_metadata_call(vault, vault_server, mount, backend):
    write(vault, mount, "db")
    known = backend.fetch(Address(f"{mount}/db"))
    vault_server.forget_requests()

    assert not backend.changed(Address(f"{mount}/db"), known)
    assert [(r.method, r.path) for r in vault_server.requests] == [("GET", f"/v1/{mount}/metadata/db")]


def test_hidden_metadata_is_asked_for_once(vault, vault_server, mount, connect):
    write(vault, mount, "db")
    write(vault, mount, "other")
    backend = connect([vault.admin.policy("data", f'path "{mount}/data/*" {{ capabilities = ["read"] }}')])
    known = {path: backend.fetch(Address(f"{mount}/{path}")) for path in ("db", "other")}
    vault_server.forget_requests()

    assert all(backend.changed(Address(f"{mount}/{path}"), known[path]) for path in known for _ in range(3))
    assert vault_server.count("GET", f"{mount}/metadata/") == 1
    vault_server.forget_requests()
    assert backend.changed(Address(f"{mount}/db"), known["db"])
    assert vault_server.requests == []


def test_a_denied_path_names_itself_and_others_go_on(vault, mount, connect):
    write(vault, mount, "open/db")
    write(vault, mount, "closed/db")
    backend = connect(
        [vault.admin.policy("open", f'path "{mount}/data/open/*" {{ capabilities = ["read"] }}')]
    )

    with pytest.raises(Denied, match=f"reading {mount}/closed/db") as denied:
        backend.fetch(Address(f"{mount}/closed/db"))
    assert denied.value.key == f"{mount}/closed/db"
    assert backend.fetch(Address(f"{mount}/open/db")).data == {"n": 1}


# Version 1.


@pytest.fixture
def old(vault):
    mount = vault.admin.mount_kv(version=1)
    vault.admin.put(mount, "app", {"a": "1", "n": 2})
    return mount


def test_version_1_has_values_and_no_versions(old, backend):
    secret = backend.fetch(Address(f"{old}/app"))

    assert secret == Secret({"a": "1", "n": 2})
    assert backend.fetch(Address(f"{old}/none")) == Secret(None, missing="there is no secret")


def test_version_1s_suggestion_when_to_look_again_is_no_lease(vault, old, backend):
    vault.admin.put(old, "short", {"a": "1", "ttl": "30s"})

    assert backend.fetch(Address(f"{old}/short")).lease is None


def test_version_1_tells_no_change_and_is_not_asked(vault_server, old, backend):
    known = backend.fetch(Address(f"{old}/app"))
    vault_server.forget_requests()

    assert backend.changed(Address(f"{old}/app"), known)
    assert vault_server.requests == []


@pytest.mark.parametrize("parameters", [version(1), METADATA])
def test_version_1_keeps_no_versions(old, backend, parameters):
    with pytest.raises(Invalid, match=r"version 1 of kv knows no .*enable-versioning"):
        backend.fetch(Address(f"{old}/app", parameters))


# Names.


@pytest.mark.parametrize("number", [1, 2])
def test_names_one_step_below(vault, backend, number):
    mount = vault.admin.mount_kv(version=number)
    for path in ("prod/db", "prod/api", "prod/team/a", "dev"):
        vault.admin.put(mount, path, {"v": "1"})

    assert backend.names(f"{mount}/prod") == ("api", "db", "team/")
    assert backend.names(mount) == ("dev", "prod/")
    assert backend.names(f"{mount}/prod/db") == ()
    assert backend.names(f"{mount}/nowhere") == ()


def test_names_that_may_not_be_listed_are_denied(vault, mount, connect):
    write(vault, mount, "prod/db")
    backend = connect([vault.admin.policy("data", f'path "{mount}/data/*" {{ capabilities = ["read"] }}')])

    with pytest.raises(Denied, match=f"listing {mount}/prod"):
        backend.names(f"{mount}/prod")


# Answers no Vault gives.


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"data": {"data": ["hunter2"], "metadata": {"version": 1}}}', Invalid),
        ('{"data": {"data": {}, "metadata": "hunter2"}}', Invalid),
        ('{"data": {"data": {}, "metadata": {"version": "hunter2"}}}', Invalid),
        ('{"data": {"password": "hunter2"}}', Invalid),
        ('{"data": {"data": null, "metadata": {"version": 1}}}', Unavailable),
        ('{"data": "hunter2"}', Unavailable),
    ],
)
def test_an_answer_of_another_shape(vault_server, mount, backend, body, kind):
    backend.names(mount)
    vault_server.faults.no_json(body, path=f"{mount}/data/", times=None)

    with pytest.raises(kind) as failed:
        backend.fetch(Address(f"{mount}/db"))

    assert "hunter2" not in str(failed.value)
    assert failed.value.key == f"{mount}/db"


def test_a_list_of_something_else(vault_server, mount, backend):
    vault_server.faults.no_json(
        '{"data": {"keys": ["a", {"hunter2": 1}]}}', path=f"{mount}/metadata", times=None
    )

    with pytest.raises(Unavailable, match="no list of names") as failed:
        backend.names(mount)
    assert "hunter2" not in str(failed.value)


def test_a_path_that_leads_out_of_its_mount(vault_server, vault, mount, backend):
    write(vault, mount, "db")
    backend.fetch(Address(f"{mount}/db"))
    vault_server.forget_requests()

    for path in (f"{mount}/../sys/policies", f"{mount}/a//b", f"{mount}/a\nb", f"{mount}/.", mount):
        with pytest.raises(Invalid):
            backend.fetch(Address(path))
    assert vault_server.requests == []
