"""`confsync diff` against a real etcd: one revision, layers, what a role may not read, and many keys."""

from __future__ import annotations

import json
import os

import pytest
import yaml

from confsync.testing.etcd import EtcdCluster

PASSWORD = "correct-horse"


@pytest.fixture(scope="module")
def guarded():
    """A node with auth; `dev` may read dev and what is common, `nobody` nothing."""
    with EtcdCluster(arguments=["--bcrypt-cost=4"]) as cluster:
        cluster.transact({
            "/dev/shop/db/host": "localhost", "/dev/shop/db/port": "1", "/prod/shop/db/host": "db1",
            "/prod/shop/pub/a": "1", "/dev/shop/pub/a": "1", "/common/shared": "x", "/common/db/port": "1",
        })  # fmt: skip
        cluster.enable_auth()
        cluster.add_user("dev", PASSWORD, "/dev/shop/", "/common/", "/prod/shop/pub/")
        cluster.add_user("uncommon", PASSWORD, "/dev/shop/", "/prod/shop/")
        cluster.add_user("nobody", PASSWORD, "/elsewhere/")
        yield cluster


def configure(bare, cluster, user=None, **more):
    source = {"backend": "etcd", "endpoints": cluster.endpoints, "timeout": "30s"}
    if user:
        bare.write("password", PASSWORD)
        source |= {"user": user, "password": {"file": "password"}}
    environments = {
        "dev": {"etcd": ["/dev/shop", "/common"]},
        "prod": {"etcd": ["/prod/shop", "/common"]},
    }
    document = {"sources": {"etcd": source}, "environments": environments, "syncs": {}, **more}
    bare.config(yaml.safe_dump(document))


@pytest.fixture(autouse=True)
def nobodys_credentials(monkeypatch):
    for name in [name for name in os.environ if name.startswith("ETCD")]:
        monkeypatch.delenv(name)


def states(result):
    return {
        key["path"]: [cell["state"] for cell in key["environments"].values()] for key in result.json["keys"]
    }


def test_both_environments_are_read_once_at_one_revision_which_is_told(bare, etcd):
    revision = etcd.transact({
        "/dev/shop/a": "1", "/prod/shop/a": "2", "/dev/shop/b": "1", "/prod/shop/b": "1",
    })  # fmt: skip
    configure(bare, etcd)
    before = etcd.calls().get("KV.Range", 0)

    result = bare.run("diff", "dev", "prod")

    assert result.status == 2
    assert f"(etcd at revision {revision})" in result.out
    assert etcd.calls()["KV.Range"] - before == 3, "one for each prefix"
    told = bare.run("diff", "dev", "prod", "--output", "json").json
    assert told["sources"]["etcd"]["revision"] == revision


def test_which_prefix_has_a_key_is_no_difference(bare, etcd):
    etcd.transact({"/dev/shop/port": "80", "/common/port": "80", "/common/name": "shop"})
    configure(bare, etcd)
    assert bare.run("diff", "dev", "prod").out.startswith("dev and prod are the same: 2 keys")


def test_what_is_denied_of_a_prefix_hides_the_keys_below_it_and_the_later_ones(bare, guarded):
    configure(bare, guarded, "dev")

    result = bare.run("diff", "dev", "prod", "--output", "json")

    assert result.status == 1
    assert states(result) == {
        "db/host": ["present", "denied"],
        "db/port": ["present", "denied"],
        "shared": ["present", "denied"],
    }, "of which pub/a is granted"
    (place,) = result.json["sources"]["etcd"]["unlisted"]
    assert (place["environment"], place["place"]) == ("prod", "/prod/shop")
    assert "may not read all of /prod/shop/" in place["why"]


def test_below_a_prefix_that_may_be_read_nothing_is_denied(bare, guarded):
    configure(bare, guarded, "dev")
    result = bare.run("diff", "dev", "prod", "pub")
    assert (result.status, result.err) == (0, "")
    assert "dev and prod are the same: 1 key" in result.out


def test_a_later_prefix_that_is_denied_hides_only_what_no_earlier_one_has(bare, guarded):
    configure(bare, guarded, "uncommon")
    result = bare.run("diff", "dev", "prod", "--output", "json")
    assert result.status == 2
    assert states(result) == {"db/host": ["present", "present"], "db/port": ["present", "denied"]}
    assert result.json["counts"] == {
        "same": 1, "values_differ": 1, "only_in_some": 0, "unknown": 1, "unfetched": 0,
    }  # fmt: skip


def test_where_everything_is_denied_nothing_was_compared(bare, guarded):
    configure(bare, guarded, "nobody")
    result = bare.run("diff", "dev", "prod")
    assert result.status == 1
    assert "source 'etcd' was not compared: " in result.err
    assert "grant-permission" in result.err
    assert result.out.startswith("nothing could be compared between dev and prod")
    for form in ("json", "markdown"):
        other = bare.run("diff", "dev", "prod", "--output", form)
        assert (other.status, other.err) == (1, result.err)
    assert other.out.startswith("Nothing could be compared between **dev** and **prod**")


def test_a_sync_is_rendered_under_the_environment_that_may_be_read(bare, guarded):
    sync = {"template": {"inline": "{{ etcd('db/host') }}\n"}, "to": "out"}
    configure(bare, guarded, "dev", syncs={"app": sync})
    result = bare.run("diff", "dev", "prod", "--sync", "app")
    assert result.status == 1
    assert "cannot be rendered under prod: " in result.err
    assert "cannot be rendered under dev" not in result.err


def test_keys_and_values_that_are_no_text_are_shown_escaped(bare, etcd):
    etcd.put(b"/dev/shop/k\xff\x1b[2J", b"\xff\x00a")
    etcd.put(b"/prod/shop/k\xff\x1b[2J", b"\xff\x00b")
    etcd.put("/prod/shop/evil|`", "<script>|`x`\n@everyone")
    configure(bare, etcd)

    text = bare.run("diff", "dev", "prod")
    markdown = bare.run("diff", "dev", "prod", "--output", "markdown")
    document = bare.run("diff", "dev", "prod", "--output", "json")

    assert r'b"\xff\x00a" → b"\xff\x00b"' in text.out
    assert "\x1b" not in text.out + markdown.out + document.out
    assert "<script>" not in markdown.out
    by_key = {key["path"]: key["environments"]["prod"] for key in document.json["keys"]}
    assert by_key["evil|`"]["value"] == "<script>|`x`\n@everyone"
    (other,) = by_key.keys() - {"evil|`"}
    assert (by_key[other]["value"], by_key[other]["encoding"]) == ("/wBi", "base64")


def test_json_says_the_same_of_ten_thousand_keys(bare, etcd):
    keys = [f"s{number % 50}/key{number}" for number in range(10_000)]
    for environment, wrong in (("dev", "!"), ("prod", "?")):
        for start in range(0, len(keys), 100):
            etcd.transact(
                {
                    f"/{environment}/shop/{key}": wrong if key.endswith("77") else key
                    for key in keys[start : start + 100]
                }
            )
    configure(bare, etcd)
    result = bare.run("diff", "dev", "prod", "--output", "json")
    assert result.json["counts"]["same"] == 9_900
    assert {key["path"] for key in result.json["keys"]} == {key for key in keys if key.endswith("77")}
    assert json.loads(result.out) == result.json
