"""`confsync env` and `exec` against a real etcd, by somebody whose role may read a part of it."""

from __future__ import annotations

import os
import sys

import pytest
import yaml

from confsync.testing.etcd import EtcdCluster

PASSWORD = "correct-horse"


@pytest.fixture(scope="module")
def guarded():
    """A node with auth; `dev` may read what is common and a part of prod, `nobody` nothing of either."""
    with EtcdCluster(arguments=["--bcrypt-cost=4"]) as cluster:
        cluster.transact({
            "/prod/shop/api/url": "u", "/prod/shop/db/password": "p", "/common/api/url": "x", "/common/name": "shop",
        })  # fmt: skip
        cluster.enable_auth()
        cluster.add_user("dev", PASSWORD, "/common/", "/prod/shop/api/")
        cluster.add_user("nobody", PASSWORD, "/elsewhere/")
        yield cluster


@pytest.fixture(autouse=True)
def nobodys_credentials(monkeypatch):
    for name in [name for name in os.environ if name.startswith("ETCD")]:
        monkeypatch.delenv(name)


@pytest.fixture
def configure(bare, guarded):
    def configure(user="dev", layers=("/prod/shop", "/common"), **sources):
        bare.write("password", PASSWORD)
        etcd = {
            "backend": "etcd",
            "endpoints": guarded.endpoints,
            "user": user,
            "password": {"file": "password"},
        }
        environments = {"prod": {"etcd": list(layers)}}
        bare.config(
            yaml.safe_dump({"sources": {"etcd": etcd, **sources}, "environments": environments, "syncs": {}})
        )

    return configure


def test_what_was_asked_for_is_given_though_not_all_may_be_read(bare, configure):
    configure()
    result = bare.ok("env", "prod", "api")
    assert (result.out, result.err) == ("API_URL=u\n", "")


def test_a_prefix_that_may_be_read_is_given_and_the_other_is_listed_as_denied(bare, configure):
    configure(layers=("/common", "/prod/shop"))
    result = bare.ok("env", "prod")
    assert result.out == "API_URL=x\nNAME=shop\n"
    (line,) = result.err.splitlines()
    assert line.startswith("denied       etcd:/prod/shop: ")
    assert bare.run("env", "prod", "--strict").status == 1
    configure()
    told = bare.ok("env", "prod", "--output", "json").json
    assert told["variables"] == {}
    assert [one["key"] for one in told["denied"]] == ["etcd:api/url", "etcd:name", "etcd:/prod/shop"]


def test_a_command_gets_what_may_be_read(bare, configure):
    configure()
    script = "import os; print(os.environ['API_URL'])"
    result = bare.ok("exec", "prod", "api", "--", sys.executable, "-c", script)
    assert result.out == "u\n"


def test_who_may_read_nothing_is_told_once_and_of_no_source_there_is_not(bare, configure):
    configure("nobody")
    result = bare.run("env", "prod")
    assert (result.status, result.out) == (1, "")
    (line,) = result.err.splitlines()
    assert "etcd: it may not be read: " in line
    assert "OTHER:" not in line
    configure("nobody", values={"backend": "file", "path": "values.yaml"})
    assert "confsync env prod OTHER:" in bare.run("env", "prod").err


def test_where_there_is_nothing_below_what_may_be_read_that_is_said(bare, configure):
    configure()
    result = bare.run("env", "prod", "api/nothing")
    assert (result.status, result.out) == (1, "")
    assert "environment prod has no keys for 'api/nothing'" in result.err
