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
    """A node with auth; `dev` may read what is common and a part of prod, `one` one key, `nobody` nothing of either."""
    with EtcdCluster(arguments=["--bcrypt-cost=4"]) as cluster:
        cluster.transact({
            "/prod/shop/api/url": "u", "/prod/shop/db/password": "p", "/common/api/url": "x", "/common/name": "shop",
        })  # fmt: skip
        cluster.enable_auth()
        cluster.add_user("dev", PASSWORD, "/common/", "/prod/shop/api/")
        cluster.add_user("one", PASSWORD, "/common/")
        cluster.grant_key("one", "/prod/shop/api/url")
        cluster.add_user("nobody", PASSWORD, "/elsewhere/")
        yield cluster


@pytest.fixture(autouse=True)
def nobodys_credentials(monkeypatch):
    for name in [name for name in os.environ if name.startswith("ETCD")]:
        monkeypatch.delenv(name)


@pytest.fixture
def configure(bare, guarded):
    def configure(
        user="dev", layers=("/prod/shop", "/common"), *, syncs=None, local=None, keys=None, **sources
    ):
        bare.write("password", PASSWORD)
        etcd = {
            "backend": "etcd",
            "endpoints": guarded.endpoints,
            "timeout": "30s",
            "user": user,
            "password": {"file": "password"},
        }
        environments = {"prod": {"etcd": list(layers)}, "dev": {"etcd": "/common"}}
        document = {"sources": {"etcd": etcd, **sources}, "environments": environments, "syncs": syncs or {}}
        document |= {"keys": keys or {}}
        document |= {"local": {"prod": local}} if local else {}
        bare.config(yaml.safe_dump(document))

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
    assert list(told["variables"]) == ["API_URL"]
    assert [one["key"] for one in told["denied"]] == ["etcd:name", "etcd:/prod/shop"]


def test_one_key_that_may_be_read_is_given(bare, configure):
    configure("one")
    result = bare.ok("env", "prod", "api/url", "--strict")
    assert (result.out, result.err) == ("API_URL=u\n", "")


POLICIES = [None, {"deny": ["other/*"], "substitute": {"api/more": "m"}}]
"""With one, the sources' views are guarded ones."""

IN_FILES = ("--only-syncs", "--", "cat", "{files}/file/out")


def template(text, to="out"):
    return {"template": {"inline": f"{text}\n"}, "to": {"file": {"path": to}}}


def data_map(to, **entries):
    return {"data": entries, "to": {"file": {"path": to, "format": "json"}}}


@pytest.mark.parametrize("user", ["dev", "one"])
def test_a_sync_that_reads_what_may_be_read_is_rendered_for_each_command(bare, configure, user):
    configure(
        user, syncs={"map": data_map("map", URL="etcd:api/url"), "file": template("{{ etcd('api/url') }}")}
    )

    assert bare.ok("env", "prod", "--sync", "map").out == "URL=u\n"
    assert bare.ok("env", "prod", "--sync", "file").out == "API_URL=u\n"
    ran = bare.ok("exec", "prod", "--sync", "map", "--sync", "file", *IN_FILES, "{files}/map/map")
    assert (ran.out, ran.err) == ('u\n{\n  "URL": "u"\n}\n', "")
    diff = bare.run("diff", "dev", "prod", "--sync", "file")
    assert (diff.status, diff.err) == (2, "")
    assert "- x\n" in diff.out
    assert "+ u\n" in diff.out


@pytest.mark.parametrize("local", POLICIES, ids=["free", "local"])
def test_a_listing_needs_all_that_is_listed_and_no_more(bare, configure, local):
    listing = "{%% for name, value in etcd.children(%s) %%}{{ name }}={{ value }} {%% endfor %%}."
    syncs = {"file": template(listing % "'api'"), "everything": template(listing % "", "all")}
    configure(layers=["/prod/shop"], syncs=syncs, local=local)
    assert bare.ok("env", "prod", "--sync", "file").out.endswith("API_URL=u\n")
    rendered = bare.ok("exec", "prod", "--sync", "file", *IN_FILES).out
    assert rendered == ("more=m url=u .\n" if local else "url=u .\n")
    refused = bare.run("exec", "prod", "--sync", "everything", "--only-syncs", "--", "true")
    assert refused.status == 1
    assert "may not read all of /prod/shop/" in refused.err


@pytest.mark.parametrize("local", POLICIES, ids=["free", "local"])
def test_a_key_that_is_denied_is_named_and_is_not_called_missing(bare, configure, local):
    there = {"PASSWORD": "etcd:db/password", "URL": "etcd:api/url"}
    text = "{{ etcd('db/password', default='none') }}{{ 'db/password' in etcd }}{{ etcd('api/url') }}"
    syncs = {
        "missing": data_map("missing", NONE="etcd:api/ur", **there),
        "there": data_map("there", **there),
        "file": template(text),
    }
    configure(syncs=syncs, local=local)

    missing = bare.run("env", "prod", "--sync", "missing")
    assert missing.status == 1
    assert "api/ur" in missing.err
    assert "password" not in missing.err
    for sync, out in (("there", "URL=u\n"), ("file", "API_URL=u\n")):
        told = bare.ok("env", "prod", "--sync", sync)
        assert told.out == out
        (line,) = told.err.splitlines()
        assert line.startswith("denied       ")
        assert "user 'dev' may not read /prod/shop/db/password" in line
        started = bare.run("exec", "prod", "--sync", sync, "--only-syncs", "--", "echo", "started")
        assert (started.status, started.out) == (1, "")
        assert f"sync {sync}: " in started.err
        assert "user 'dev' may not read /prod/shop/db/password" in started.err
        rendered = bare.run("diff", "dev", "prod", "--sync", sync)
        assert rendered.status == 1
        assert "cannot be rendered under prod: " in rendered.err
        assert "may not read /prod/shop/db/password" in rendered.err


def test_a_substitute_stands_in_for_what_is_denied(bare, configure):
    sync = template("{{ etcd('db/password') }} {{ etcd('api/url') }}")
    configure(syncs={"file": sync}, local={"deny": ["db/*"], "substitute": {"db/password": "dev"}})
    assert bare.ok("exec", "prod", "--sync", "file", *IN_FILES).out == "dev u\n"


def test_what_writes_and_what_looks_as_the_daemon_does_need_the_whole_prefix(bare, configure):
    configure(syncs={"file": template("{{ etcd('api/url') }}")})
    for command in ("apply", "plan", "get etcd:api/url"):
        result = bare.run(*command.split(), "-e", "prod")
        assert result.status == 1, command
        assert "may not read all of /prod/shop/" in result.err
    assert not (bare.root / "out").exists()


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


def test_what_was_asked_for_and_is_denied_is_named_be_it_a_key_or_what_is_below(bare, configure):
    configure(layers=["/prod/shop"])
    result = bare.run("env", "prod", "db/password")
    assert (result.status, result.out) == (1, "")
    assert "user 'dev' may not read /prod/shop/db/password, nor all below it" in result.err
    assert "etcdctl role grant-permission ROLE read /prod/shop/db/password, or" in result.err


@pytest.mark.parametrize("selected", [[], ["db"], ["db/password"], ["--sync", "file"]])
def test_a_required_key_that_is_denied_is_not_said_to_be_missing(bare, configure, selected):
    sync = template("{{ etcd('db/password') }}")
    configure(
        keys={"db/password": {"required": True}}, syncs={"file": sync}, layers=["/prod/shop", "/common"]
    )
    result = bare.run("env", "prod", *selected)
    assert (result.status, result.out) == (1, "")
    assert "does not exist" not in result.err
    assert "may not read /prod/shop/db/password" in result.err
