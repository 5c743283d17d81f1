"""What can be wrong with keys, values and templates."""

from __future__ import annotations

import os

import pytest

SECRET = "hunter2-correct-horse"


def etcd_source(etcd, **more):
    patient = {"timeout": "30s", "dial_timeout": "30s"}
    return {"etcd": {"backend": "etcd", "endpoints": etcd.endpoints, "sensitive": False, **patient, **more}}


def configure(workspace, etcd, text, **more):
    workspace.config(
        sources=etcd_source(etcd),
        syncs={
            "bad": {"template": {"inline": text}, "to": "out/bad", **more},
            "good": {"template": {"inline": "{{ etcd('v') }}"}, "to": "out/good"},
        },
    )


def fails(workspace, etcd, *said):
    etcd.put("/v", "1")
    done = workspace.confsync("apply")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert all(text in done.stderr for text in said), done.stderr
    assert workspace.read("good") == "1"
    return done.stderr


def test_all_missing_keys_are_named_at_once_with_the_nearest_existing_one(workspace, etcd):
    etcd.put("/db/host", "db1")
    configure(workspace, etcd, "{{ etcd('db/hots') }}\n{{ etcd('nothing/like/it') }}")
    said = fails(
        workspace, etcd, "2 keys are missing", "'db/hots'", "did you mean 'db/host'", "nothing/like/it"
    )
    assert ":1: no key" in said
    assert ":2: no key" in said
    assert workspace.read("bad") is None


def test_a_binary_value_is_an_error_that_names_its_key(workspace, etcd):
    etcd.put("/blob", b"\xff\xfe\x00")
    configure(workspace, etcd, "{{ etcd('blob') }}")
    fails(workspace, etcd, "blob")
    assert workspace.read("bad") is None


def test_a_binary_value_breaks_only_those_who_read_it(workspace, etcd):
    etcd.transact({"/app/blob": b"\xff\xfe", "/app/host": "db1"})
    configure(workspace, etcd, "{{ etcd('app/host') }}")
    etcd.put("/v", "1")
    assert workspace.confsync("apply").returncode == 0
    assert workspace.read("bad") == "db1"


def test_a_value_of_one_and_a_half_megabytes_passes_through_whole(workspace, etcd):
    value = "0123456789abcdef" * (1_500_000 // 16)  # etcd's own limit is 1.5 MiB a request
    etcd.put("/big", value)
    etcd.put("/v", "1")
    configure(workspace, etcd, "{{ etcd('big') }}")
    done = workspace.confsync("apply")
    assert done.returncode == 0, done.stderr
    assert workspace.read("bad") == value


def test_a_value_of_two_megabytes_passes_through_whole(workspace):
    value = "0123456789abcdef" * (2_000_000 // 16)
    workspace.values({"v": value})
    workspace.config(syncs={"a": {"template": {"inline": "{{ values('v') }}"}, "to": "out/a"}})
    done = workspace.confsync("apply")
    assert done.returncode == 0, done.stderr
    assert workspace.read("a") == value


NAMES = [
    "with space",
    "new\nline",
    "..",
    ".",
    "ünïcödé",
    "-rf",
    "a'b\"c",
    "$(touch oops)",
    "semi;colon",
    "x" * 200,
]


def test_names_from_keys_cannot_leave_their_directory(workspace, etcd):
    for name in NAMES:
        etcd.put(f"/tenants/{name}/port", "80")
    outside = set(os.listdir(workspace.root))
    workspace.config(
        sources=etcd_source(etcd),
        syncs={
            "tenants": {
                "for_each": "etcd.dirs('tenants')",
                "template": {"inline": "{{ each.key }}"},
                "to": {"file": {"path": "out/tenants/{{ each.key }}", "parents": True}},
            }
        },
    )
    done = workspace.confsync("apply")
    assert done.returncode == 0, done.stderr
    written = sorted(os.listdir(workspace.out / "tenants"))
    assert len(written) == len(NAMES)
    assert {(workspace.out / "tenants" / name).read_text() for name in written} == set(NAMES)
    assert set(os.listdir(workspace.out)) == {"tenants"}
    assert set(os.listdir(workspace.root)) - outside <= {"state", "confsync.yaml"}
    assert workspace.confsync("plan").returncode == 0


def test_a_name_that_no_file_can_have_fails_its_sync(workspace, etcd):
    etcd.put("/tenants/nul\0byte/port", "80")
    etcd.put("/v", "1")
    workspace.config(
        sources=etcd_source(etcd),
        syncs={
            "bad": {
                "for_each": "etcd.dirs('tenants')",
                "template": {"inline": "x"},
                "to": "out/{{ each.key }}.conf",
            },
            "good": {"template": {"inline": "{{ etcd('v') }}"}, "to": "out/good"},
        },
    )
    done = workspace.confsync("apply")
    assert "Traceback" not in done.stderr
    assert workspace.read("good") == "1"
    for name in os.listdir(workspace.out):
        assert "\0" not in name


def test_a_missing_template_is_named_with_the_nearest_and_where_it_was_looked_for(workspace, etcd):
    workspace.template("nginx.conf.j2", "x")
    etcd.put("/v", "1")
    workspace.config(
        sources=etcd_source(etcd),
        syncs={
            "bad": {"template": "ngnix.conf.j2", "to": "out/bad"},
            "good": {"template": {"inline": "{{ etcd('v') }}"}, "to": "out/good"},
        },
    )
    fails(workspace, etcd, "ngnix.conf.j2", "nginx.conf.j2", str(workspace.templates))


@pytest.mark.parametrize(
    ("text", "said", "time"),
    [
        ("one\n{{ nosuch }}", ":2", "1m"),
        ("one\n{% if %}", ":2", "1m"),
        ("{{ 1 / 0 }}", "division", "1m"),
        ("{{ etcd('v').__class__ }}", ":1", "1m"),
        ("{% for i in range(100000000) %}{% endfor %}", ":1", "1s"),
        ("{{ 'x' * 999999999 }}", ":1", "1m"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "without end", "1m"),
    ],
)
def test_a_template_error_names_its_line_and_stops_nobody_else(workspace, etcd, text, said, time):
    configure(workspace, etcd, text, limits={"time": time})
    fails(workspace, etcd, "sync 'bad' is failed", said)
    assert workspace.read("bad") is None


@pytest.mark.parametrize("action", ["check", "reload"])
def test_a_secret_that_a_command_prints_is_in_no_log_and_in_no_ledger(workspace, etcd, action):
    etcd.put("/password", SECRET)
    echo = workspace.script("echo", "cat out/target $CONFSYNC_STAGED 2>/dev/null; cat $1 | base64; exit 1")
    path = workspace.out / "target"
    workspace.config(
        sources=etcd_source(etcd, sensitive=["password"]),
        syncs={
            "leaky": {
                "template": {"inline": "{{ etcd('password') }}"},
                "to": "out/target",
                action: [echo, "{staged}" if action == "check" else str(path)],
            }
        },
    )
    with workspace.daemon() as daemon:
        said = daemon.wait_log("sync failed" if action == "check" else "reload failed")
        assert "••••••" in said.facts["error"]
        workspace.wait_state("leaky", "failed" if action == "check" else "owed")
        if action == "reload":
            assert path.stat().st_mode & 0o777 == 0o600
    assert SECRET not in daemon.log()
    for file in workspace.state.rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file
    for command in (("status",), ("plan",), ("explain", "leaky")):
        done = workspace.confsync(*command)
        assert SECRET not in done.stdout + done.stderr
