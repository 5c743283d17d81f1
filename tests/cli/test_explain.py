"""`confsync explain`: of sources that cannot be read, of what was never applied, of other environments."""

from __future__ import annotations

import pytest

SYNCS = {
    "app": {"template": "app.conf.j2", "to": "app.conf"},
    "map": {"data": {"HOST": "values:db/host", "NAME": "more:name"}, "to": "map.env"},
}
KEYS = {"db/host": {"required": True, "about": "the primary"}, "more:gone": {"about": "once there"}}


@pytest.fixture
def two(project):
    """A project with a second source, of the same environments."""
    sources = {name: {"backend": "file", "path": f"{name}.yaml"} for name in ("values", "more")}
    environments = {name: {"values": name, "more": name} for name in ("dev", "prod")}
    project.write("more.yaml", "dev: {name: shop}\nprod: {name: shop}\n")
    project.syncs(SYNCS, sources=sources, environments=environments, keys=KEYS)
    return project


def explained(project, *arguments):
    return {one["source"]: one for one in project.ok("explain", *arguments, "--output", "json").json}


def test_a_required_key_is_not_missing_in_the_other_sources_that_might_have_it(two):
    assert list(explained(two, "db/host")) == ["values"]
    two.values({"dev": {}})
    assert "it does not exist, and is required" in two.ok("explain", "db/host").out


def test_of_a_source_that_cannot_be_read_nobody_says_that_a_key_does_not_exist(two):
    two.write("values.yaml", "{")
    result = two.run("explain", "db/host")
    assert result.status == 1
    assert "about     the primary" in result.out
    assert "value     cannot be read: " in result.out
    assert "does not exist" not in result.out + result.err
    assert "more:" not in result.out
    assert two.run("explain", "other").status == 1
    assert "value     it does not exist" in two.ok("explain", "gone").out


def test_a_sync_and_a_target_that_were_never_applied_are_told_by_the_configuration(two):
    result = two.ok("explain", "map")
    assert str(two.root / "map.env") in result.out
    assert "not applied yet" in result.out
    assert "values:db/host" in result.out
    assert "the primary" in result.out
    assert "made by   app.conf.j2" in two.ok("explain", "app.conf").out
    (facts,) = two.ok("explain", "map", "--output", "json").json
    assert (facts["state"], facts["written"]) == ("pending", None)
    assert [(key["source"], key["key"]) for key in facts["keys"]] == [("values", "db/host"), ("more", "name")]


def test_a_key_goes_where_a_data_map_says_before_it_was_applied(two):
    out = two.ok("explain", "db/host").out
    assert f"goes to   {two.root / 'map.env'}  [map]  not applied yet" in out
    assert "goes to   perhaps what app will make: not applied yet" in out
    assert "no target" not in out

    two.ok("apply")
    out = two.ok("explain", "db/host").out
    assert "not applied yet" not in out
    assert out.count("goes to") == 2
    assert "goes to   no target" in two.ok("explain", "more:gone").out


def test_a_key_does_not_go_where_another_environment_is_written_to(project):
    app = {"template": "app.conf.j2", "to": "app.conf"}
    of_prod = {"template": "app.conf.j2", "to": "prod.conf", "environment": "prod"}
    project.syncs({"app": app, "of_prod": of_prod})
    project.ok("apply")
    project.values({"dev": {"db": {"host": "x"}}, "prod": {}})

    for environment, sync in (("dev", "app"), ("prod", "of_prod")):
        for key in ("db/host", "db/port"):
            (facts,) = project.run("explain", "-e", environment, key, "--output", "json").json
            assert [one["sync"] for one in facts["goes_to"]] == [sync]


def test_a_key_that_environments_share_goes_where_each_of_them_is_written_to(project):
    environments = {"dev": {"values": ["dev", "common"]}, "prod": {"values": ["prod", "common"]}}
    app = {"template": "app.conf.j2", "to": "app.conf"}
    of_prod = {"template": "app.conf.j2", "to": "prod.conf", "environment": "prod"}
    project.values({"common": {"db": {"host": "h"}}, "dev": {"db": {"port": "1"}}, "prod": {}})
    project.syncs({"app": app, "of_prod": of_prod}, environments=environments)
    project.ok("apply")

    assert {one["sync"] for one in explained(project, "db/host")["values"]["goes_to"]} == {"app", "of_prod"}
    assert [one["sync"] for one in explained(project, "db/port")["values"]["goes_to"]] == ["app"]


@pytest.mark.parametrize("applied", [True, False])
def test_a_key_with_what_a_terminal_acts_on_is_escaped_where_its_value_is_wrong(project, applied):
    each = "{% for name, port in values.items('ports') %}{{ port }}\n{% endfor %}"
    project.syncs(
        {"app": {"template": {"inline": each}, "to": "app.conf"}}, keys={"ports/*": {"type": "port"}}
    )
    project.values({"dev": {"ports": {"web": "80"}}})
    if applied:
        project.ok("apply")
    project.values({"dev": {"ports": {"\x1b]0;title\x07\n": "no port"}}})
    assert project.run("apply").status == 1

    for command in ("explain app", "explain app.conf", "status", "plan", "check --online", "ls"):
        result = project.run(*command.split())
        assert not {"\x1b", "\x07"} & {*result.out, *result.err}, command
    assert r"ports/\x1b]0;title\x07\n is no port" in project.run("explain", "app").out
