"""Files and directories, read: which files count, what they mean, and what is wrong with them."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest
from pydantic import ValidationError
from stand_ins.nobody import nobody

from confsync.errors import Denied, Invalid, Unavailable
from confsync_backends.file import FileBackend, FileOptions


@pytest.mark.parametrize(
    ("name", "text"),
    [("v.yaml", "a: 1"), ("v.yml", "a: 1"), ("v.YAML", "a: 1"), ("v.json", '{"a": 1}'), ("v.toml", "a = 1"),
     ("v.env", "a=1"),     (".env", "a=1"), (".env.local", "a=1")],
)  # fmt: skip
def test_the_name_tells_the_format(tmp_path, read, name, text):
    (tmp_path / name).write_text(text)
    assert read(name) == {"a": b"1"}


def test_a_given_format_wins(tmp_path, read):
    (tmp_path / "values.conf").write_text("a=1")
    (tmp_path / "values.json").write_text("a: 1")
    assert read("values.conf", format="dotenv") == read("values.json", format="yaml") == {"a": b"1"}


def test_a_path_is_relative_to_the_configuration_or_absolute_or_in_the_home(tmp_path, read, monkeypatch):
    (tmp_path / "v.yaml").write_text("a: 1")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read("v.yaml") == read(tmp_path / "v.yaml") == read("~/v.yaml") == {"a": b"1"}


def test_a_prefix_selects_a_subtree_with_and_without_a_leading_slash(tmp_path, read):
    (tmp_path / "v.yaml").write_text(
        "prod: {shop: {db: {host: x}}, shop: 1, shopping: {a: 1}}".replace("shop: 1, ", "")
    )
    assert (
        read("v.yaml", "prod/shop")
        == read("v.yaml", "/prod/shop")
        == read("v.yaml", "/prod/shop/")
        == {"db/host": b"x"}
    )
    assert read("v.yaml", "/").keys() == {"prod/shop/db/host", "prod/shopping/a"}


def test_a_byte_order_mark_is_no_content(tmp_path, read):
    for name, text in {"v.yaml": "a: 1", "v.json": '{"a": 1}', "v.toml": "a = 1", "v.env": "a=1"}.items():
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert read(name) == {"a": b"1"}


def test_entries_have_the_time_of_their_file_and_the_reading_the_newest(tmp_path):
    (tmp_path / "d").mkdir()
    for name, seconds in {"a.yaml": 1000, "b.yaml": 2000}.items():
        (tmp_path / "d" / name).write_text("k: 1")
        os.utime(tmp_path / "d" / name, (seconds, seconds))
    reading = FileBackend.open(FileOptions(path="d"), tmp_path).read([""])
    assert reading.revision == 2000 * 10**6
    entries = reading.trees[""]
    assert (entries["a/k"].revision, entries["a/k"].modified) == (1000 * 10**6, 1000.0)


def test_revisions_are_exact_in_what_reads_json(tmp_path):
    (tmp_path / "v.yaml").write_text("a: 1")
    assert FileBackend.open(FileOptions(path="v.yaml"), tmp_path).read([""]).revision < 2**53


def test_the_revision_grows_even_when_an_older_file_comes_back(tmp_path):
    file = tmp_path / "v.yaml"
    backend = FileBackend.open(FileOptions(path="v.yaml"), tmp_path)
    file.write_text("a: 1")
    os.utime(file, (2000, 2000))
    first = backend.read([""]).revision
    file.write_text("a: 2")
    os.utime(file, (1000, 1000))
    second = backend.read([""]).revision
    assert first < second == backend.read([""]).revision


def test_a_directory_is_a_tree_of_its_files(tmp_path, read):
    files = {
        "db.yaml": b"host: x", "db/pool.json": b'{"size": 1}', "app.prod.toml": b"a = 1", "shop.env": b"B=2",
        "password": b"\xff\n", "nginx.conf": b"text\n", "tls/tls.crt": b"cert", "empty": b"",
        "empty.yaml": b"",
    }  # fmt: skip
    for name, data in files.items():
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_bytes(data)
    assert read("d") == {
        "db/host": b"x", "db/pool/size": b"1", "app.prod/a": b"1", "shop/B": b"2",
        "password": b"\xff\n", "nginx.conf": b"text\n", "tls/tls.crt": b"cert", "empty": b"",
    }  # fmt: skip
    assert read("d", "tls") == {"tls.crt": b"cert"}


def test_hidden_files_and_what_editors_leave_behind_are_no_keys(tmp_path, read):
    (tmp_path / "d" / ".git").mkdir(parents=True)
    for name in (
        ".hidden",
        ".git/config",
        ".db.yaml.swp",
        "db.yaml~",
        "4913",
        "db.yaml.tmp",
        "x.swp",
        "#db.yaml#",
        "y.bak",
    ):
        (tmp_path / "d" / name).write_text("a: 1")
    (tmp_path / "d" / "kept").write_text("1")
    assert read("d") == {"kept": b"1"}


def test_sockets_fifos_and_dangling_links_in_a_directory_are_passed_over(tmp_path, read, monkeypatch):
    (tmp_path / "d").mkdir()
    monkeypatch.chdir(tmp_path / "d")
    os.mkfifo("fifo.yaml")
    os.symlink("nowhere", "dangling")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert read("d") == {}


def test_links_out_of_the_directory_are_followed(tmp_path, read):
    (tmp_path / "elsewhere" / "sub").mkdir(parents=True)
    (tmp_path / "elsewhere" / "sub" / "k").write_text("1")
    (tmp_path / "elsewhere" / "v.yaml").write_text("a: 2")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "sub").symlink_to(tmp_path / "elsewhere" / "sub")
    (tmp_path / "d" / "values.yaml").symlink_to("../elsewhere/v.yaml")
    assert read("d") == {"sub/k": b"1", "values/a": b"2"}


def test_an_empty_directory_has_no_keys(tmp_path, read):
    (tmp_path / "d").mkdir()
    assert read("d") == {}


def test_a_missing_file_is_unavailable_for_it_may_come(tmp_path, read):
    with pytest.raises(Unavailable, match=rf"{tmp_path}/absent/v.yaml: does not exist \(create it") as caught:
        read("absent/v.yaml")
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="does not exist"):
        read("file/v.yaml")


def test_a_malformed_file_in_a_directory_is_named_with_line_and_column(tmp_path, read):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "good.yaml").write_text("a: 1")
    (tmp_path / "d" / "bad.yaml").write_text("a: 1\nb: [\n")
    with pytest.raises(Invalid, match=rf"^{tmp_path}/d/bad.yaml:3:1: not valid YAML"):
        read("d")


def test_one_key_in_two_files_is_invalid_and_both_are_named(tmp_path, read):
    (tmp_path / "d" / "a").mkdir(parents=True)
    (tmp_path / "d" / "a.yaml").write_text("x: 0\nb: 1\n")
    (tmp_path / "d" / "a" / "b").write_text("2")
    with pytest.raises(Invalid, match=rf"^{tmp_path}/d/a.yaml:2:1: the key 'a/b' is at {tmp_path}/d/a/b too"):
        read("d")


def test_a_text_file_that_is_no_utf8_is_named_with_line_and_column(tmp_path, read):
    (tmp_path / "v.yaml").write_bytes(b"a: 1\nb: \xff\xfe\n")
    with pytest.raises(Invalid, match=rf"^{tmp_path}/v.yaml:2:4: not UTF-8 text") as caught:
        read("v.yaml")
    assert isinstance(caught.value.__cause__, UnicodeDecodeError)


def test_a_file_of_unknown_format_is_invalid_and_says_what_to_write(tmp_path, read):
    (tmp_path / "values").write_text("a: 1")
    with pytest.raises(Invalid, match=rf"^{tmp_path}/values: its name ends in none of .yaml.*format: yaml"):
        read("values")


def test_a_format_for_a_directory_is_invalid(tmp_path, read):
    with pytest.raises(Invalid, match="is a directory, but a format is given"):
        read(".", format="yaml")


def test_a_fifo_is_invalid_instead_of_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "v.yaml")
    with pytest.raises(Invalid, match="neither a file nor a directory"):
        read("v.yaml")


def test_links_that_go_round_in_a_circle_are_invalid_and_named(tmp_path, read):
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    with pytest.raises(Invalid, match=rf"^{tmp_path}/loop.yaml: its symbolic links go round in a circle"):
        read("loop.yaml")
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "d" / "sub" / "up").symlink_to("..")
    with pytest.raises(Invalid, match=rf"^{tmp_path}/d/sub/up: leads back to a directory above it"):
        read("d")
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "self").symlink_to("self")
    with pytest.raises(Invalid, match=rf"^{tmp_path}/e/self: its symbolic links go round in a circle"):
        read("e")


def test_more_than_32_mib_are_invalid(tmp_path, read):
    with (tmp_path / "v.yaml").open("wb") as file:
        file.truncate(33 * 1024**2)
    with pytest.raises(Invalid, match=rf"^{tmp_path}/v.yaml: more than 32 MiB"):
        read("v.yaml")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_file_that_may_not_be_read_is_denied(tmp_path):
    (tmp_path / "v.yaml").write_text("a: 1")
    (tmp_path / "v.yaml").chmod(0)
    (tmp_path / "d").mkdir(mode=0)
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)
    for name in ("v.yaml", "d"):
        with nobody(), pytest.raises(Denied, match=f"{tmp_path}/{name}: may not be read"):
            FileBackend.open(FileOptions(path=name), tmp_path).read([""])


def test_files_that_belong_together_are_read_together(tmp_path):
    """Two files change by one switch of a link, again and again; no reading mixes them."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        for name in ("a", "b"):
            (tmp_path / version / name).write_text(version)
    (tmp_path / "current").symlink_to("one")
    backend = FileBackend.open(FileOptions(path="current"), tmp_path)
    stop = threading.Event()

    def switch():
        for version in ("two", "one") * 100_000:
            (tmp_path / "next").symlink_to(version)
            (tmp_path / "next").replace(tmp_path / "current")
            if stop.wait(0.0005):
                return

    switcher = threading.Thread(target=switch)
    switcher.start()
    try:
        end = time.monotonic() + 0.5
        seen = set()
        while time.monotonic() < end or not seen:
            try:
                tree = backend.read([""]).trees[""]
            except Unavailable:
                continue  # it may give up, but not mix
            seen.add((tree["a"].value, tree["b"].value))
    finally:
        stop.set()
        switcher.join()
    assert seen <= {(b"one", b"one"), (b"two", b"two")}
    assert seen


def test_a_link_that_is_switched_to_and_fro_between_two_looks_is_seen(tmp_path, monkeypatch):
    """Both looks at the files find version one, but the second file read was that of version two."""
    from confsync_backends.file import contents

    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        for name in ("a", "b"):
            (tmp_path / version / name).write_text(version)
    (tmp_path / "current").symlink_to("one")
    switches = iter(["two", "one"])
    read_file = contents._read_file

    def read_and_switch(*args):
        data = read_file(*args)
        version = next(switches, None)
        if version:
            (tmp_path / "next").symlink_to(version)
            (tmp_path / "next").replace(tmp_path / "current")
        return data

    monkeypatch.setattr(contents, "_read_file", read_and_switch)
    tree = FileBackend.open(FileOptions(path="current"), tmp_path).read([""]).trees[""]
    assert (tree["a"].value, tree["b"].value) == (b"one", b"one")


def test_what_changes_all_the_while_it_is_read_is_unavailable(tmp_path, monkeypatch):
    from confsync_backends.file import contents

    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_text("0")
    reading = contents._read_file
    monkeypatch.setattr(
        contents, "_read_file", lambda found, most: (reading(found, most), _append(found.path))[0]
    )
    with pytest.raises(Unavailable, match="changed 5 times while it was being read"):
        FileBackend.open(FileOptions(path="d"), tmp_path).read([""])


def _append(path):
    with open(path, "a") as file:
        file.write("x")


def test_options_are_validated():
    assert FileOptions(path="x", poll="1m30s").poll == 90.0
    for wrong in (
        {},
        {"path": ""},
        {"path": "x", "poll": 5},
        {"path": "x", "format": "xml"},
        {"path": "x", "pth": 1},
    ):
        with pytest.raises(ValidationError):
            FileOptions(**wrong)


def test_without_watch_it_is_read_at_intervals_only(tmp_path):
    assert FileBackend.open(FileOptions(path="v.yaml"), tmp_path).watches is True
    assert FileBackend.open(FileOptions(path="v.yaml", watch=False), tmp_path).watches is False
