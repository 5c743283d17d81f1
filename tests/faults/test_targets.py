"""What can be wrong with a target: its sync fails and says what to do, the file stays, the others go on."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess

import pytest
from stand_ins.mounts import mount as mount

from confsync.testing.waiting import eventually


def file(path, **more):
    return {"file": {"path": str(path), **more}}


def configure(workspace, target, text="{{ values('v') }}", **more):
    """`bad` writes the target in question, `good` must not care."""
    workspace.config(
        defaults={"interval": "1s"},
        syncs={
            "bad": {"template": {"inline": text}, "to": target, **more},
            "good": {"template": {"inline": "{{ values('v') }}"}, "to": "out/good"},
        },
    )


def fails(workspace, *said, value="1"):
    """`apply` fails for `bad` only, saying so; gives what it said."""
    workspace.values({"v": value})
    done = workspace.confsync("apply")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "sync 'bad' is failed" in done.stderr
    assert all(text in done.stderr for text in said), done.stderr
    assert workspace.read("good") == value
    return done.stderr


def succeeds(workspace, value="1"):
    workspace.values({"v": value})
    done = workspace.confsync("apply")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_missing_directory_is_an_error_that_names_the_option(workspace):
    configure(workspace, "out/a/b/app.conf")
    fails(workspace, "parents: true")
    assert not (workspace.out / "a").exists()


def test_a_missing_directory_is_made_on_request(workspace):
    configure(workspace, file("out/a/b/app.conf", parents=True))
    succeeds(workspace)
    assert workspace.read("a/b/app.conf") == "1"
    assert stat.S_IMODE((workspace.out / "a").stat().st_mode) == 0o755


def test_a_missing_directory_that_appears_is_filled_by_the_daemon(workspace):
    workspace.values({"v": "1"})
    configure(workspace, "out/a/app.conf")
    with workspace.daemon():
        workspace.wait_state("bad", "failed", detail="parents: true")
        (workspace.out / "a").mkdir()
        workspace.wait_content("a/app.conf", "1")


@pytest.mark.root
def test_a_read_only_filesystem_keeps_the_old_file_until_it_is_writable(workspace, mount):
    place = workspace.out / "ro"
    place.mkdir()
    mount("-t", "tmpfs", "none", str(place))
    configure(workspace, "out/ro/app.conf")
    succeeds(workspace)
    mount("-o", "remount,ro", str(place))
    fails(workspace, "read-only", value="2")
    assert workspace.read("ro/app.conf") == "1"
    mount("-o", "remount,rw", str(place))
    succeeds(workspace, "2")
    assert workspace.read("ro/app.conf") == "2"


@pytest.mark.root
def test_a_full_disk_fails_its_sync_only_and_is_retried_until_there_is_space(workspace, mount):
    place = workspace.out / "full"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=64k", "none", str(place))
    configure(workspace, "out/full/app.conf", text="{{ values('v') * 30000 }}")
    workspace.values({"v": "1"})
    with workspace.daemon():
        workspace.wait_content("full/app.conf", "1" * 30000)
        (place / "ballast").write_bytes(b"x" * 30000)

        workspace.values({"v": "2"})
        workspace.wait_content("good", "2")
        workspace.wait_state("bad", "failed", detail="full")
        assert workspace.read("full/app.conf") == "1" * 30000
        eventually(lambda: sorted(os.listdir(place)) == ["app.conf", "ballast"])  # but while it tries again
        workspace.values({"v": "3"})
        workspace.wait_content("good", "3")

        (place / "ballast").unlink()
        workspace.wait_content("full/app.conf", "3" * 30000)
        workspace.wait_state("bad", "ok")


def test_a_fifo_is_refused_and_not_opened(workspace):
    os.mkfifo(workspace.out / "fifo")
    configure(workspace, "out/fifo")
    fails(workspace, "out/fifo")
    assert stat.S_ISFIFO(os.lstat(workspace.out / "fifo").st_mode)


def test_a_directory_in_the_place_of_a_file_is_refused(workspace):
    (workspace.out / "app").mkdir()
    configure(workspace, "out/app")
    fails(workspace, "directory")


def test_a_symlink_is_refused_by_default(workspace):
    (workspace.out / "real").write_text("real")
    (workspace.out / "link").symlink_to("real")
    configure(workspace, "out/link")
    fails(workspace, "symbolic link")
    assert (workspace.out / "link").is_symlink()
    assert workspace.read("real") == "real"


def test_a_symlink_is_followed_on_request(workspace):
    (workspace.out / "real").write_text("real")
    (workspace.out / "link").symlink_to("real")
    configure(workspace, file("out/link", symlink="follow"))
    succeeds(workspace)
    assert (workspace.out / "link").is_symlink()
    assert workspace.read("real") == "1"


def test_a_symlink_is_replaced_on_request(workspace):
    (workspace.out / "real").write_text("real")
    (workspace.out / "link").symlink_to("real")
    configure(workspace, file("out/link", symlink="replace"))
    succeeds(workspace)
    assert not (workspace.out / "link").is_symlink()
    assert (workspace.read("real"), workspace.read("link")) == ("real", "1")


@pytest.mark.parametrize("symlink", ["refuse", "follow"])
def test_a_symlink_loop_is_an_error_and_not_an_endless_walk(workspace, symlink):
    (workspace.out / "a").symlink_to("b")
    (workspace.out / "b").symlink_to("a")
    configure(workspace, file("out/a", symlink=symlink))
    fails(workspace, "out/a")


@pytest.mark.root
def test_a_file_of_another_user_keeps_its_owner_and_mode(workspace):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    path = workspace.out / "app"
    path.write_text("theirs")
    nobody = pwd.getpwnam("nobody")
    os.chown(path, nobody.pw_uid, nobody.pw_gid)
    path.chmod(0o604)
    configure(workspace, "out/app")
    succeeds(workspace)
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (nobody.pw_uid, nobody.pw_gid, 0o604)
    assert workspace.read("app") == "1"


def test_an_owner_that_does_not_exist_is_named(workspace):
    configure(workspace, file("out/app", owner="nosuchuser"))
    fails(workspace, "nosuchuser")
    assert workspace.read("app") is None


def test_two_syncs_that_want_one_target_do_not_fight(workspace):
    workspace.values({"v": "1"})
    workspace.config(
        syncs={
            name: {
                "for_each": "['x']",
                "template": {"inline": name},
                "to": "out/{{ each.value }}",
            }
            for name in ("one", "two")
        }
    )
    done = workspace.confsync("apply")
    assert done.returncode == 1
    assert "writes it too" in done.stderr
    assert workspace.read("x") == "one"
    assert workspace.confsync("apply").returncode == 1
    assert workspace.read("x") == "one"


# Several targets of one sync


def test_a_second_target_that_cannot_be_staged_leaves_the_first_as_it_was(workspace):
    configure(workspace, ["out/first", "out/missing/second"])
    fails(workspace, "missing/second")
    assert workspace.read("first") is None


def test_a_second_target_that_cannot_be_committed_puts_the_first_back(workspace, mount):
    """A mount point cannot be renamed over: that shows only when the first is in place already."""
    for name in ("first", "second", "origin"):
        (workspace.out / name).write_text("old")
    mount("--bind", str(workspace.out / "origin"), str(workspace.out / "second"))
    configure(workspace, [file("out/first"), file("out/second", in_place="never")])

    fails(workspace, "mount point")

    assert (workspace.read("first"), workspace.read("second")) == ("old", "old")
    assert sorted(os.listdir(workspace.out)) == ["first", "good", "origin", "second"]
    subprocess.run(["umount", str(workspace.out / "second")], check=True)
    succeeds(workspace)
    assert (workspace.read("first"), workspace.read("second")) == ("1", "1")


# Checks and reloads


def test_a_check_that_fails_keeps_the_file_and_shows_what_it_printed(workspace):
    configure(
        workspace, "out/app", check={"shell": "grep -q 1 $CONFSYNC_STAGED || { echo no one in it; false; }"}
    )
    succeeds(workspace)
    fails(workspace, "no one in it", value="2")
    assert workspace.read("app") == "1"
    succeeds(workspace, "11")
    assert workspace.read("app") == "11"


def test_a_check_that_hangs_is_killed_and_keeps_the_file(workspace):
    configure(workspace, "out/app", check={"shell": "sleep 3600", "timeout": "300ms"})
    fails(workspace, "did not end within 300ms")
    assert workspace.read("app") is None
    assert sorted(os.listdir(workspace.out)) == ["good"]


def owed(workspace):
    ledger = workspace.ledger()
    try:
        return [debt.sync for debt in ledger.owed_reloads()]
    finally:
        ledger.close()


@pytest.mark.parametrize(
    ("shell", "timeout", "said"),
    [
        ("echo not today; exit 3", "1m", "not today"),
        ("sleep 3600", "1s", "did not end within 1s"),
        ("kill -SEGV $$", "1m", "SIGSEGV"),
        ("exec /no/such/program", "1m", "127"),
    ],
)
def test_a_reload_that_fails_leaves_the_new_file_and_stays_owed(workspace, shell, timeout, said):
    workspace.values({"v": "1"})
    configure(workspace, "out/app", reload={"shell": shell, "timeout": timeout})
    done = workspace.confsync("apply")
    assert done.returncode == 1
    assert said in done.stderr
    assert workspace.read("app") == "1"
    assert owed(workspace) == ["bad"]
    status = workspace.confsync("status")
    assert status.returncode == 2
    assert "bad  owed" in status.stdout

    configure(workspace, "out/app", reload={"shell": "true"})
    succeeds(workspace)
    assert owed(workspace) == []


def test_a_reload_that_prints_ten_megabytes_is_no_burden(workspace):
    workspace.values({"v": "1"})
    configure(workspace, "out/app", reload={"shell": "head -c 10000000 /dev/zero | tr '\\0' x; exit 1"})
    with workspace.daemon() as daemon:
        line = daemon.wait_log("reload failed")
        assert len(line.facts["error"]) < 10_000
        status = (workspace.root / f"/proc/{daemon.pid}/status").read_text()
        resident = next(int(text.split()[1]) for text in status.splitlines() if text.startswith("VmRSS"))
        assert resident < 200_000, "kB"
        eventually(lambda: owed(workspace) == ["bad"])
