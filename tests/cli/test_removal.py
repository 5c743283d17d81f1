"""What goes away, what stays, and what waits until somebody confirms it."""

from __future__ import annotations

import pytest

INLINE = {"inline": "text\n"}
EACH = {
    "for_each": "values.dirs('tenants')",
    "template": {"inline": "tenant {{ each.key }}\n"},
    "to": "out/{{ each.key }}.conf",
}


def one(name, to=None):
    return {name: {"template": INLINE, "to": to or name}}


def tenants(*names, **more):
    return {"dev": {"tenants": {name: {"port": "1"} for name in names}, "other": "x", **more}}


@pytest.fixture
def each(project):
    """A sync with one file for each of ten tenants."""
    (project.root / "out").mkdir()
    project.syncs({"each": EACH})
    project.values(tenants(*"abcdefghij"))
    project.ok("apply")
    return project


def outputs(project):
    return sorted(path.stem for path in (project.root / "out").glob("*.conf"))


def test_a_removed_sync_takes_with_it_what_confsync_created(project):
    project.syncs(one("kept") | one("gone"))
    project.ok("apply")
    project.syncs(one("kept"))
    plan = project.run("plan")
    assert plan.status == 2
    assert f"- delete {project.root / 'gone'}" in plan.out
    assert "sync 'gone' was removed" in plan.out
    result = project.ok("apply")
    assert f"deleted {project.root / 'gone'}" in result.out
    assert not project.exists("gone")
    assert project.exists("kept")
    assert project.ok("plan").out == "nothing to do\n"
    assert "gone" not in project.ok("status").out


def test_a_saved_plan_removes_what_it_says(project):
    project.syncs(one("kept") | one("gone"))
    project.ok("apply")
    project.syncs(one("kept"))
    assert project.run("plan", "--out", "saved").status == 2

    result = project.ok("apply", "--plan", "saved")

    assert f"deleted {project.root / 'gone'}" in result.out
    assert not project.exists("gone")
    assert project.ok("plan").out == "nothing to do\n"


def test_a_named_apply_removes_nothing(project):
    project.syncs(one("kept") | one("gone"))
    project.ok("apply")
    project.syncs(one("kept"))
    project.ok("apply", "kept")
    assert project.exists("gone")


def test_an_adopted_file_of_a_removed_sync_is_left(project):
    project.write("mine", "text\n")
    project.syncs(one("kept") | one("mine"))
    project.ok("apply")
    project.syncs(one("kept"))
    assert project.ok("plan").out == "nothing to do\n"
    project.ok("apply")
    assert project.read("mine") == "text\n"
    assert "mine" not in project.ok("status").out


def test_a_file_that_was_there_with_other_content_is_left_too(project):
    project.write("mine", "by hand\n")
    project.syncs(one("kept") | one("mine"))
    project.ok("apply")
    assert project.read("mine") == "text\n"
    project.syncs(one("kept"))
    project.ok("apply")
    assert project.read("mine") == "text\n"


def test_a_hand_edited_file_of_a_removed_sync_is_left(project):
    project.syncs(one("kept") | one("gone"))
    project.ok("apply")
    project.write("gone", "work of somebody\n")
    project.syncs(one("kept"))
    project.ok("apply")
    assert project.read("gone") == "work of somebody\n"
    assert "gone" not in project.ok("status").out


def test_a_removed_sync_that_retains_nothing_special_can_return(project):
    project.syncs(one("app"))
    project.ok("apply")
    project.syncs({})
    project.ok("apply")
    assert not project.exists("app")
    project.syncs(one("app"))
    project.ok("apply")
    assert project.read("app") == "text\n"


def test_a_changed_path_removes_the_old_one(project):
    project.syncs(one("app", "old"))
    project.ok("apply")
    project.syncs(one("app", "new"))
    project.ok("apply")
    assert not project.exists("old")
    assert project.exists("new")


def test_a_target_that_moves_to_another_sync_is_never_removed(project):
    project.syncs(one("before", "shared"))
    project.ok("apply")
    inode = (project.root / "shared").stat().st_ino
    project.syncs(one("after", "shared"))
    project.ok("apply")
    assert (project.root / "shared").stat().st_ino == inode
    assert project.ok("plan").out == "nothing to do\n"
    assert "before" not in project.ok("status").out


def test_retain_leaves_what_is_no_longer_wanted(project):
    project.syncs({"app": {"template": INLINE, "to": "old", "retain": True}})
    project.ok("apply")
    project.syncs({"app": {"template": INLINE, "to": "new", "retain": True}})
    project.ok("apply")
    assert project.exists("old")
    assert project.exists("new")


def test_a_directory_target_of_a_removed_sync_is_removed(project):
    directory = {"templates": {"a": INLINE, "b": INLINE}, "to": {"directory": "tree"}}
    project.syncs({**one("kept"), "tree": directory})
    project.ok("apply")
    assert project.read("tree/a") == "text\n"
    project.syncs(one("kept"))
    project.ok("apply")
    assert not project.exists("tree/a")


def test_a_shrunk_for_each_removes_what_fell_out_of_it(each):
    each.values(tenants(*"abcdefgh"))
    each.ok("apply")
    assert outputs(each) == list("abcdefgh")


def test_too_many_targets_of_one_sync_to_go_are_held_until_confirmed(each):
    each.values(tenants(*"abc"))
    before = {name: each.read(f"out/{name}.conf") for name in outputs(each)}
    result = each.run("apply")
    assert result.status == 1
    assert "at once" in result.err
    assert "--allow-mass-delete" in result.err
    assert {name: each.read(f"out/{name}.conf") for name in outputs(each)} == before
    assert "held" in each.run("status").out
    each.ok("apply", "--allow-mass-delete")
    assert outputs(each) == ["a", "b", "c"]
    assert each.ok("status").status == 0


def test_targets_that_go_though_their_keys_stay_are_held_too(each):
    each.syncs({"each": {**EACH, "for_each": "values.dirs('tenants')[:3]"}})
    result = each.run("apply")
    assert result.status == 1
    assert "7 of the 10 targets of sync 'each' would be deleted at once" in result.err
    assert outputs(each) == list("abcdefghij")
    each.ok("apply", "--allow-mass-delete")
    assert outputs(each) == list("abc")


def test_too_many_removed_syncs_are_held_until_confirmed(project):
    many = {name: {"template": INLINE, "to": name} for name in "abcdef"}
    project.syncs(many)
    project.ok("apply")
    project.syncs({"a": many["a"]})
    plan = project.run("plan")
    assert plan.status == 1
    assert "would be deleted at once" in plan.err
    result = project.run("apply")
    assert result.status == 1
    assert "5 of 6 targets would be deleted at once" in result.err
    assert all(project.exists(name) for name in "abcdef")
    project.ok("apply", "--allow-mass-delete")
    assert [name for name in "abcdef" if project.exists(name)] == ["a"]


def test_up_to_three_targets_go_without_confirmation(project):
    project.syncs(one("a") | one("b") | one("c"))
    project.ok("apply")
    project.syncs({})
    project.ok("apply")
    assert not any(project.exists(name) for name in "abc")


def test_the_limits_of_the_guard_can_be_configured(project):
    many = {name: {"template": INLINE, "to": name} for name in "abcdef"}
    project.syncs(many, mass_delete={"percent": 100})
    project.ok("apply")
    project.syncs({"a": many["a"]}, mass_delete={"percent": 100})
    project.ok("apply")
    assert not project.exists("b")


@pytest.mark.parametrize("emptied", ["dev: {}\n", "{}\n", ""])
def test_a_source_that_is_suddenly_empty_changes_nothing(project, emptied):
    project.ok("apply")
    before = project.read("app.conf")
    project.write("values.yaml", emptied)
    result = project.run("apply")
    assert result.status == 1
    assert project.read("app.conf") == before
    assert project.run("status").status == 2


def test_a_source_that_is_gone_changes_nothing_and_shows_as_stale(project):
    project.ok("apply")
    before = project.read("app.conf")
    values = project.read("values.yaml")
    (project.root / "values.yaml").unlink()
    result = project.run("apply")
    assert result.status == 1
    assert project.read("app.conf") == before
    assert "stale" in project.run("status").out
    project.write("values.yaml", values)
    project.ok("apply")
    assert project.ok("status").out.startswith("app  ok")


def test_keys_that_vanish_in_numbers_are_held_and_return_by_themselves(each):
    full = each.read("values.yaml")
    each.values(tenants("a"))
    assert each.run("apply").status == 1
    assert outputs(each) == list("abcdefghij")
    each.write("values.yaml", full)
    each.ok("apply")
    assert outputs(each) == list("abcdefghij")
    assert each.ok("status").status == 0


def test_another_environment_that_lacks_the_keys_is_told_as_that(project):
    read = "".join(f"{{{{ values('key{n}', default='') }}}}" for n in range(8))
    project.syncs({"app": {"template": {"inline": read}, "to": "app.conf"}})
    project.values({"dev": {f"key{n}": str(n) for n in range(8)}, "prod": {"key0": "prod"}})
    project.ok("apply")
    result = project.run("-e", "prod", "apply")
    assert result.status == 1
    assert (
        "7 of the 8 keys sync 'app' read last time are gone: they were under 'dev', and it looks under 'prod'"
        in result.out + result.err
    )
    assert project.read("app.conf") == "01234567"
