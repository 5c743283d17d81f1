"""What may be read of a prefix by somebody who may not read all of it."""

from __future__ import annotations

import pytest

from confsync.errors import Denied
from confsync.testing.etcd import EtcdCluster
from confsync_backends.etcd.certificates import common_name
from confsync_backends.etcd.ranges import Span

PASSWORD = "correct-horse"


@pytest.fixture(scope="module")
def guarded():
    with EtcdCluster(arguments=["--bcrypt-cost=4"]) as cluster:
        cluster.transact({
            "/prod/shop/api/url": "u", "/prod/shop/api/key": "k", "/prod/shop/db/password": "p", "/prod/shop/top": "t",
            "/common/a": "1",
        })  # fmt: skip
        cluster.enable_auth()
        yield cluster


@pytest.fixture
def reader(guarded, connect):
    """reader(name, *grants): the backend of a user with these: a prefix, a key, or a pair."""

    def reader(name, *grants):
        guarded.add_user(name, PASSWORD)
        for one in grants:
            guarded.grant_range(name, *(one if isinstance(one, tuple) else (one, b"")))
        return connect(guarded, user=name, password=PASSWORD)

    return reader


def paths(reading, prefix="/prod/shop"):
    return sorted(reading.trees[prefix])


def test_what_is_granted_is_read_at_one_revision_and_the_rest_is_told_apart(reader, guarded):
    backend = reader("parts", ("/prod/shop/api/", "/prod/shop/api0"), "/prod/shop/top")
    newest = guarded.put("/common/a", "2")

    reading = backend.read_granted(["/prod/shop", "/common"])

    assert paths(reading) == ["api/key", "api/url", "top"]
    assert paths(reading, "/common") == []
    assert reading.revision == newest
    grant = reading.grant
    assert grant.refusal("/prod/shop", "api/none") is None
    assert grant.refusal("/prod/shop", "top") is None
    assert grant.refusal_below("/prod/shop", "api") is None
    denied = grant.refusal("/prod/shop", "db/password")
    assert "user 'parts' may not read /prod/shop/db/password" in denied.message
    assert denied.hint == "etcdctl role grant-permission ROLE read /prod/shop/db/password"
    assert grant.refusal("/prod/shop", "api"), "the key beside the directory"
    assert grant.refusal_below("/prod/shop", "top"), "the directory beside the key"
    assert "may not read all of /prod/shop/" in grant.refusal_below("/prod/shop", "").message
    assert "may not read all of /common/" in grant.refusal_below("/common", "").message


def test_ranges_of_several_roles_are_one_where_they_touch(reader, guarded):
    backend = reader("joined", ("/prod/shop/api/a", "/prod/shop/api/m"))
    guarded.add_user("other", PASSWORD)
    guarded.grant_range("other", "/prod/shop/api/m", "/prod/shop/api/zz")
    guarded.grant_role("joined", "other")

    reading = backend.read_granted(["/prod/shop"])

    assert paths(reading) == ["api/key", "api/url"]
    assert reading.grant.refusal("/prod/shop", "api/m") is None
    assert reading.grant.refusal("/prod/shop", "api/zz")
    assert reading.grant.refusal_below("/prod/shop", "api"), "what begins otherwise is not granted"


def test_a_grant_without_end_and_one_that_only_writes(reader, guarded):
    backend = reader("from", ("/prod/shop/db/", b"\0"))
    guarded.grant_range("from", "/prod/shop/api/", "/prod/shop/api0", write_only=True)

    reading = backend.read_granted(["/prod/shop"])

    assert paths(reading) == ["db/password", "top"]
    assert reading.grant.refusal_below("/prod/shop", "zzz") is None
    assert reading.grant.refusal("/prod/shop", "api/url")


def test_at_the_root_a_key_without_its_slash_may_be_there_as_well(reader):
    backend = reader("at-root", ("/prod/shop/api/", "/prod/shop/api0"))
    reading = backend.read_granted([""])
    assert paths(reading, "") == ["prod/shop/api/key", "prod/shop/api/url"]
    assert reading.grant.refusal("", "prod/shop/api/none")
    assert reading.grant.refusal_below("", "")


def test_a_prefix_below_another_is_read_too(reader):
    backend = reader("nested", ("/prod/shop/api/", "/prod/shop/api0"))
    reading = backend.read_granted(["/prod", "/prod/shop", "/prod/shop/api"])
    assert paths(reading, "/prod") == ["shop/api/key", "shop/api/url"]
    assert paths(reading) == ["api/key", "api/url"]
    assert paths(reading, "/prod/shop/api") == ["key", "url"]
    assert reading.grant.refusal_below("/prod/shop/api", "") is None


def test_many_pages_of_many_parts_are_of_one_revision(guarded, connect, monkeypatch):
    guarded.add_user("paged", PASSWORD)
    for name in ("a", "b"):
        guarded.grant("paged", f"/many/{name}/")
        guarded.transact({f"/many/{name}/{number:02}": "1" for number in range(20)})
    backend = connect(guarded, user="paged", password=PASSWORD, page_size=3)
    reading = backend.read_granted(["/many"])
    assert len(paths(reading, "/many")) == 40


def test_who_is_granted_nothing_of_it_is_denied(reader):
    with pytest.raises(Denied, match="may read nothing of it"):
        reader("elsewhere", ("/elsewhere/", "/elsewhere0")).read_granted(["/prod/shop", "/common"])


def test_who_has_a_certificate_is_known_by_its_common_name(authority, tls_files, connect):
    certificate, key = authority.issue("carol", organizations=("CN=mallory",))
    with EtcdCluster(tls=tls_files, arguments=["--bcrypt-cost=4"]) as cluster:
        cluster.transact({"/prod/shop/api/url": "u", "/prod/shop/db/password": "p"})
        cluster.enable_auth()
        cluster.add_user("carol", PASSWORD, "/prod/shop/api/")
        tls = {"ca": str(tls_files.ca), "cert": str(certificate), "key": str(key)}
        backend = connect(cluster, tls=tls)
        with pytest.raises(Denied, match="user 'carol' may not read all of /prod/shop/"):
            backend.read(["/prod/shop"])
        reading = backend.read_granted(["/prod/shop"])
    assert paths(reading) == ["api/url"]
    assert "user 'carol' may not read" in reading.grant.refusal("/prod/shop", "db/password").message


def test_a_certificate_is_read_as_far_as_it_goes(authority, tls_files):
    pem = tls_files.client_cert.read_bytes()
    assert common_name(pem) == "client"
    assert common_name(authority.cert.read_bytes()) == "ca"
    for cut in range(0, len(pem), 7):
        assert common_name(pem[:cut] + b"-----END CERTIFICATE-----") in {None, "client"}
    assert (
        common_name(b"") is common_name(b"-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----") is None
    )


def test_whom_etcd_does_not_know_by_name_is_told_nothing(guarded, connect):
    with pytest.raises(Denied, match="does not tell what may be read"):
        connect(guarded).read_granted(["/prod/shop"])


@pytest.mark.parametrize(("one", "other", "common"), [
    (Span(b"a", b"c"), Span(b"b", b"d"), Span(b"b", b"c")),
    (Span(b"a", b"b"), Span(b"b", b"c"), None),
    (Span(b"", None), Span(b"b", b"c"), Span(b"b", b"c")),
    (Span(b"a", None), Span(b"b", None), Span(b"b", None)),
])  # fmt: skip
def test_what_ranges_have_in_common(one, other, common):
    assert one.common(other) == other.common(one) == common
