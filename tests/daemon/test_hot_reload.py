"""A new configuration or template is taken up by itself; a wrong one changes nothing and says why."""

from __future__ import annotations

import signal

import pytest
import yaml

from confsync.testing.waiting import eventually


def sync(name, text="host={{ values('host') }}"):
    return {name: {"template": {"inline": text}, "to": f"out/{name}"}}


@pytest.fixture
def one(workspace):
    """A daemon with one sync, `a`."""
    workspace.values({"host": "db1"})
    workspace.config(syncs=sync("a"))
    daemon = workspace.daemon()
    workspace.wait_content("a", "host=db1")
    workspace.wait_state("a", "ok")
    yield daemon
    daemon.stop()


def test_a_sync_that_is_added_is_written(workspace, one):
    workspace.config(syncs=sync("a") | sync("b"))

    workspace.wait_content("b", "host=db1")
    one.wait_log("configuration reloaded")


def test_a_sync_that_is_removed_takes_its_target_with_it(workspace, one):
    workspace.config(syncs=sync("a") | sync("b"))
    workspace.wait_content("b", "host=db1")

    workspace.config(syncs=sync("a"))

    one.wait_log("target deleted", sync="b")
    assert workspace.read("b") is None
    assert workspace.read("a") == "host=db1"
    eventually(lambda: set(workspace.syncs()) == {"a"})


def test_a_target_whose_path_changes_moves(workspace, one):
    workspace.config(syncs={"a": {**sync("a")["a"], "to": "out/elsewhere"}})

    workspace.wait_content("elsewhere", "host=db1")
    eventually(lambda: workspace.read("a") is None)


def test_a_file_that_was_there_before_confsync_is_left_when_its_sync_goes(workspace, one):
    (workspace.out / "b").write_text("host=db1")
    workspace.config(syncs=sync("a") | sync("b"))
    workspace.wait_state("b", "ok")

    workspace.config(syncs=sync("a"))

    eventually(lambda: set(workspace.syncs()) == {"a"})
    assert workspace.read("b") == "host=db1"


@pytest.mark.parametrize("edited", ["app.j2", "part.j2", "base.j2"])
def test_an_edited_template_reaches_its_targets(workspace, edited):
    workspace.template("base.j2", "[{% block body %}{% endblock %}]")
    workspace.template("part.j2", "part")
    workspace.template(
        "app.j2", "{% extends 'base.j2' %}{% block body %}{% include 'part.j2' %} app{% endblock %}"
    )
    workspace.config(syncs={"a": {"template": "app.j2", "to": "out/a"}})
    with workspace.daemon():
        workspace.wait_content("a", "[part app]")

        path = workspace.templates / edited
        workspace.replace(path, path.read_text().replace("[", "<").replace("part", "more", 1))

        changed = {"app.j2": None, "part.j2": "[more app]", "base.j2": "<part app]"}[edited]
        if changed is not None:
            workspace.wait_content("a", changed)
        else:
            assert "no template 'more.j2'" in workspace.wait_state("a", "failed").detail
            assert workspace.read("a") == "[part app]"


def test_a_template_that_is_written_later_completes_its_sync(workspace):
    workspace.config(syncs={"a": {"template": "late.j2", "to": "out/a"}})
    with workspace.daemon():
        assert "late.j2" in workspace.wait_state("a", "failed").detail
        workspace.template("late.j2", "here")
        workspace.wait_content("a", "here")


def test_a_broken_template_keeps_the_file_and_names_the_line_until_it_is_mended(workspace):
    workspace.template("app.j2", "one\ntwo\n")
    workspace.config(syncs={"a": {"template": "app.j2", "to": "out/a"}})
    with workspace.daemon() as daemon:
        workspace.wait_content("a", "one\ntwo\n")

        workspace.template("app.j2", "one\n{% if %}\n")
        assert "app.j2:2" in daemon.wait_log("sync failed", sync="a").facts["error"]
        assert workspace.read("a") == "one\ntwo\n"

        workspace.template("app.j2", "three\n")
        workspace.wait_content("a", "three\n")
        daemon.wait_log("sync works again", sync="a")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("syncs:\n  a: x: y\n", "confsync.yaml:2"),
        ("syncs:\n  a:\n    templte: {inline: x}\n    to: out/a\n", "did you mean 'template'"),
        ("syncs:\n  a:\n    template: {inline: x}\n    to: out/a\n    interval: soon\n", "confsync.yaml:5"),
    ],
)
def test_an_invalid_configuration_keeps_the_old_one_and_says_why(workspace, one, text, said):
    workspace.replace(workspace.file, text)

    line = one.wait_log("the new configuration is invalid; the old one stays")
    assert said in line.facts["error"]
    workspace.values({"host": "db2"})
    workspace.wait_content("a", "host=db2")

    status = workspace.confsync("status")
    assert status.returncode in (2, 3), "the configuration on disk is invalid"

    workspace.config(syncs=sync("a", "now={{ values('host') }}"))
    workspace.wait_content("a", "now=db2")
    one.wait_log("configuration reloaded")


def test_an_unknown_backend_option_keeps_the_old_configuration(workspace, one):
    workspace.config(
        sources={"values": {"backend": "file", "path": "values.yaml", "pth": "x"}}, syncs=sync("a", "other")
    )

    assert "pth" in one.wait_log("the new configuration is invalid").facts["error"]
    workspace.values({"host": "db2"})
    workspace.wait_content("a", "host=db2")


def test_a_file_added_to_conf_d_is_taken_up(workspace):
    workspace.values({"host": "db1"})
    workspace.config(syncs=sync("a"))
    (workspace.root / "conf.d").mkdir()
    with workspace.daemon():
        workspace.wait_content("a", "host=db1")
        workspace.replace(workspace.root / "conf.d/b.yaml", yaml.safe_dump({"syncs": sync("b")}))
        workspace.wait_content("b", "host=db1")
        (workspace.root / "conf.d/b.yaml").unlink()
        eventually(lambda: workspace.read("b") is None)


def test_conf_d_itself_may_appear_later(workspace, one):
    (workspace.root / "conf.d").mkdir()
    workspace.replace(workspace.root / "conf.d/b.yaml", yaml.safe_dump({"syncs": sync("b")}))

    workspace.wait_content("b", "host=db1")


def test_sighup_reloads_and_looks_at_everything(workspace, one):
    one.signal(signal.SIGHUP)
    one.wait_log("configuration reloaded")
    one.signal(signal.SIGHUP)
    one.wait_log("configuration reloaded", times=2)

    workspace.values({"host": "db2"})
    workspace.wait_content("a", "host=db2")


def test_a_source_that_is_added_is_read(workspace, one, etcd):
    etcd.put("/x", "from etcd")
    workspace.config(
        sources={
            "values": {"backend": "file", "path": "values.yaml", "sensitive": False},
            "etcd": {"backend": "etcd", "endpoints": etcd.endpoints},
        },
        syncs=sync("a") | sync("b", "{{ etcd('x') }} {{ values('host') }}"),
    )
    workspace.wait_content("b", "from etcd db1")
    etcd.put("/x", "still")
    workspace.wait_content("b", "still db1")
    workspace.values({"host": "db2"})
    workspace.wait_content("b", "still db2")
    workspace.wait_content("a", "host=db2")


def test_a_configuration_without_any_sync_lets_go_of_everything(workspace, one):
    workspace.config(syncs={})

    one.wait_log("target deleted", sync="a")
    workspace.config(syncs=sync("a"))
    workspace.wait_content("a", "host=db1")


def test_removing_many_syncs_at_once_is_held_until_allowed(workspace, one):
    many = {name: sync(name)[name] for name in "abcdefgh"}
    workspace.config(syncs=many)
    eventually(lambda: all(workspace.read(name) for name in many))
    eventually(lambda: len(workspace.syncs()) == 8)

    workspace.config(syncs=sync("a"))

    assert "7 of 8" in one.wait_log("removed syncs are not cleaned up").facts["error"]
    assert all(workspace.read(name) for name in many)
    workspace.wait_state("h", "held")

    done = workspace.confsync("apply", "--allow-mass-delete")
    assert done.returncode == 0, done.stderr
    assert str(one.pid) in done.stdout
    eventually(lambda: not any(workspace.read(name) for name in "bcdefgh"))
    assert workspace.read("a") == "host=db1"
