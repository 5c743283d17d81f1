from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from confsync.errors import Denied
from confsync.testing.etcd import EtcdCluster, wait_until

PASSWORD = "correct-horse"


@pytest.fixture(scope="module")
def guarded():
    """A node with auth, and a user who may read /prod/shop/ and /common/."""
    with EtcdCluster(arguments=["--auth-token=simple", "--bcrypt-cost=4"]) as cluster:
        cluster.enable_auth()
        cluster.add_user("shop", PASSWORD, "/prod/shop/", "/common/")
        cluster.transact({"/prod/shop/a": "1", "/prod/other/b": "2", "/common/c": "3"})
        yield cluster


def let_tokens_expire(cluster):
    """The server forgets them, as it does when their time is over. No clock says when that is, so it is told to."""
    cluster.forget_tokens("shop", PASSWORD)


def test_a_user_reads_what_is_granted(guarded, connect):
    reading = connect(guarded, user="shop", password=PASSWORD).read(["/prod/shop", "/common"])

    assert {asked: set(tree) for asked, tree in reading.trees.items()} == {
        "/prod/shop": {"a"},
        "/common": {"c"},
    }


def test_a_prefix_of_which_a_part_is_granted_is_denied_with_the_command_to_run(guarded, connect):
    backend = connect(guarded, user="shop", password=PASSWORD)

    with pytest.raises(Denied) as caught:
        backend.read(["/prod"])

    message = str(caught.value)
    assert "user 'shop' may not read all of /prod/" in message
    assert "etcdctl role grant-permission ROLE --prefix=true read /prod/" in message
    assert "the whole prefix must be granted" in message
    assert guarded.endpoints[0] in message


def test_a_grant_made_later_is_used_at_once(guarded, connect):
    backend = connect(guarded, user="shop", password=PASSWORD)
    with pytest.raises(Denied):
        backend.read(["/later"])
    guarded.grant("shop", "/later/")

    assert backend.read(["/later"]).trees == {"/later": {}}


def test_a_wrong_password_is_denied_and_not_shown(guarded, connect):
    with pytest.raises(Denied, match="check user and password") as caught:
        connect(guarded, user="shop", password="wrong-horse").read(["/prod/shop"])

    assert "horse" not in str(caught.value)


def test_without_a_user_it_says_that_a_login_is_wanted(guarded, connect):
    with pytest.raises(Denied, match="set user and password"):
        connect(guarded).read(["/prod/shop"])


def test_a_login_where_none_is_wanted_does_no_harm(etcd, connect):
    etcd.put("/prod/a", "1")

    assert set(connect(etcd, user="shop", password=PASSWORD).read(["/prod"]).trees["/prod"]) == {"a"}


def test_a_password_file_is_read_again_at_each_login(guarded, connect, tmp_path):
    (tmp_path / "password").write_text("not yet")
    backend = connect(guarded, user="shop", password={"file": "password"})
    with pytest.raises(Denied):
        backend.read(["/common"])

    (tmp_path / "password").write_text(PASSWORD + "\n")

    assert set(backend.read(["/common"]).trees["/common"]) == {"c"}


def test_a_missing_password_file_is_denied(guarded, connect):
    with pytest.raises(Denied, match="cannot be read"):
        connect(guarded, user="shop", password={"file": "absent"}).read(["/common"])


def test_reads_go_on_after_the_token_expired_with_one_login_for_all_threads(guarded, connect):
    backend = connect(guarded, user="shop", password=PASSWORD)
    backend.read(["/common"])
    session = backend._connection.session
    logins = []
    login = session._login
    session._login = lambda *arguments: logins.append(1) or login(*arguments)

    let_tokens_expire(guarded)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: backend.read(["/common"]), range(8)))

    assert all(set(answer.trees["/common"]) == {"c"} for answer in answers)
    assert len(logins) == 1


def test_watches_open_and_deliver_after_the_token_expired(guarded, connect, follow):
    backend = connect(guarded, user="shop", password=PASSWORD)
    open_before = follow(backend, ["/prod/shop", "/common"])
    let_tokens_expire(guarded)
    opened_after = follow(backend, ["/prod/shop", "/common"])

    guarded.put("/prod/shop/a", "changed")

    for follower in (open_before, opened_after):
        wait_until(lambda follower=follower: follower.deltas or follower.error, "the change arrives")
        assert follower.error is None
        assert follower.values("/prod/shop") == {"a": b"changed"}


def test_a_watch_of_a_prefix_that_is_not_granted_is_denied(guarded, connect, within):
    backend = connect(guarded, user="shop", password=PASSWORD)
    reading = backend.read(["/common", "/prod/shop"])
    object.__setattr__(reading, "trees", {**reading.trees, "/prod/other": {}})

    with backend.watch(["/common", "/prod/other"], reading) as watch:
        with pytest.raises(Denied, match="may not read all of /prod/other/") as caught:
            within(30, next, watch)
        assert "etcdctl role grant-permission" in str(caught.value)
        with pytest.raises(Denied):
            within(30, next, watch)


def test_tokens_lost_in_a_restart_are_replaced(connect):
    with EtcdCluster(arguments=["--bcrypt-cost=4"]) as cluster:
        cluster.enable_auth()
        cluster.add_user("shop", PASSWORD, "/common/")
        backend = connect(cluster, user="shop", password=PASSWORD)
        backend.read(["/common"])
        cluster.members[0].restart()

        assert backend.read(["/common"]).trees == {"/common": {}}
