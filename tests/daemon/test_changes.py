"""A change in a source reaches its files at once, and wakes nobody else."""

from __future__ import annotations

import pytest

from confsync.testing.waiting import eventually


def etcd_source(etcd, **more):
    return {"etcd": {"backend": "etcd", "endpoints": etcd.endpoints, "sensitive": False, **more}}


def inline(text):
    return {"inline": text}


def test_a_change_in_etcd_reaches_the_file(workspace, etcd):
    etcd.put("/shop/db/host", "db1")
    workspace.config(
        sources=etcd_source(etcd),
        environments={"prod": {"etcd": "/shop"}},
        defaults={"environment": "prod"},
        syncs={"app": {"template": inline("host={{ etcd('db/host') }}"), "to": "out/app.conf"}},
    )
    with workspace.daemon() as daemon:
        workspace.wait_content("app.conf", "host=db1")
        daemon.wait_log("target created", sync="app", target="out/app.conf")

        etcd.put("/shop/db/host", "db2")

        workspace.wait_content("app.conf", "host=db2")
        assert "db/host" in daemon.wait_log("target updated", sync="app").facts["why"]


def test_a_change_in_a_values_file_reaches_the_file(workspace):
    workspace.values({"db": {"host": "db1"}})
    workspace.config(
        syncs={"app": {"template": inline("host={{ values('db/host') }}"), "to": "out/app.conf"}}
    )
    with workspace.daemon():
        workspace.wait_content("app.conf", "host=db1")

        workspace.values({"db": {"host": "db2"}})

        workspace.wait_content("app.conf", "host=db2")


def test_a_key_that_appears_later_completes_its_sync(workspace, etcd):
    etcd.put("/a", "1")
    workspace.config(
        sources=etcd_source(etcd),
        syncs={"app": {"template": inline("{{ etcd('a') }} {{ etcd('b') }}"), "to": "out/app"}},
    )
    with workspace.daemon():
        assert "'b'" in workspace.wait_state("app", "failed").detail
        assert workspace.read("app") is None

        etcd.put("/b", "2")

        workspace.wait_content("app", "1 2")
        workspace.wait_state("app", "ok")


def test_only_syncs_that_read_the_key_are_woken(workspace, etcd):
    for number in range(5):
        etcd.put(f"/k{number}", "old")
    workspace.config(
        sources=etcd_source(etcd),
        syncs={
            f"s{number}": {
                # `now` makes each render different: whoever is woken by mistake shows it by its content.
                "template": inline(f"{{{{ etcd('k{number}') }}}} {{{{ now().timestamp() }}}}"),
                "to": f"out/s{number}",
            }
            for number in range(5)
        },
    )
    with workspace.daemon():
        eventually(lambda: all(workspace.read(f"s{number}") for number in range(5)))
        turns = iter(range(1, 1000))

        def wakes_one():
            before = [workspace.read(f"s{number}") for number in range(5)]
            for value in (
                f"{next(turns)} ",
                f"{next(turns)} ",
            ):  # what the first wakes is awake before the second
                etcd.put("/k3", value)
                eventually(lambda value=value: workspace.read("s3").startswith(value))
            after = [workspace.read(f"s{number}") for number in range(5)]
            assert [a == b for a, b in zip(after, before, strict=True)] == [True, True, True, False, True]
            return True

        eventually(wakes_one)  # the first passes may not be over yet


def test_a_target_that_would_not_change_is_not_touched(workspace, etcd):
    etcd.transact({"/a": "1", "/b": "1"})
    workspace.config(
        sources=etcd_source(etcd),
        syncs={
            "both": {"template": inline("{{ 'same' if etcd('a') else '' }}"), "to": "out/both"},
            "witness": {"template": inline("{{ etcd('a') }}"), "to": "out/witness"},
        },
    )
    with workspace.daemon() as daemon:
        workspace.wait_content("both", "same")
        workspace.wait_content("witness", "1")
        before = (workspace.out / "both").stat()

        etcd.put("/a", "2")
        workspace.wait_content("witness", "2")
        etcd.put("/a", "3")
        workspace.wait_content("witness", "3")

        after = (workspace.out / "both").stat()
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
        assert not daemon.lines("target updated", sync="both")


def test_a_listing_follows_keys_that_come_and_go(workspace, etcd):
    etcd.transact({"/up/a": "10.0.0.1", "/up/b": "10.0.0.2", "/other": "x"})
    template = "{% for name, ip in etcd.children('up') %}{{ name }}={{ ip }};{% endfor %}"
    workspace.config(sources=etcd_source(etcd), syncs={"up": {"template": inline(template), "to": "out/up"}})
    with workspace.daemon():
        workspace.wait_content("up", "a=10.0.0.1;b=10.0.0.2;")
        etcd.put("/up/c", "10.0.0.3")
        workspace.wait_content("up", "a=10.0.0.1;b=10.0.0.2;c=10.0.0.3;")
        etcd.delete("/up/a")
        workspace.wait_content("up", "b=10.0.0.2;c=10.0.0.3;")


def test_one_template_mixes_two_sources(workspace, etcd):
    etcd.put("/host", "db1")
    workspace.values({"port": 5432})
    workspace.config(
        sources={**etcd_source(etcd), "values": {"backend": "file", "path": "values.yaml"}},
        syncs={"app": {"template": inline("{{ etcd('host') }}:{{ values('port') }}"), "to": "out/app"}},
    )
    with workspace.daemon():
        workspace.wait_content("app", "db1:5432")
        workspace.values({"port": 5433})
        workspace.wait_content("app", "db1:5433")
        etcd.put("/host", "db2")
        workspace.wait_content("app", "db2:5433")


@pytest.mark.parametrize("removed", ["item", "all but one"])
def test_targets_of_a_for_each_come_and_go_with_their_keys(workspace, etcd, removed):
    names = ["a", "b"] if removed == "item" else ["a", "b", "c"]
    etcd.transact({f"/tenants/{name}/port": name for name in names})
    workspace.config(
        sources=etcd_source(etcd),
        syncs={
            "tenants": {
                "for_each": "etcd.dirs('tenants')",
                "template": inline("port={{ etcd('tenants/' ~ each.key ~ '/port') }}"),
                "to": "out/{{ each.key }}.conf",
            }
        },
    )
    with workspace.daemon() as daemon:
        for name in names:
            workspace.wait_content(f"{name}.conf", f"port={name}")

        etcd.put("/tenants/new/port", "new")
        workspace.wait_content("new.conf", "port=new")
        for name in names[1:]:
            etcd.delete(f"/tenants/{name}/port")

        for name in names[1:]:
            eventually(lambda name=name: workspace.read(f"{name}.conf") is None)
            daemon.wait_log("target deleted", target=f"{name}.conf")
        assert workspace.read("a.conf") == "port=a"
