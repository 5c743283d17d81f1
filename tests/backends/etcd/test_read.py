from __future__ import annotations

import os
import threading
from itertools import count

import pytest

from confsync.errors import Invalid, Unavailable


def values(tree):
    return {path: entry.value for path, entry in tree.items()}


def test_a_prefix_ends_at_a_path_boundary(etcd, connect):
    etcd.transact(
        {"/prod/shop/db/host": "db1", "/prod/shop": "itself", "/prod/shopping/a": "no", "prod/shop/b": "no"}
    )

    reading = connect(etcd).read(["/prod/shop"])

    assert values(reading.trees["/prod/shop"]) == {"db/host": b"db1"}


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("/prod", {"a": b"1", "shop/b": b"2"}),
        ("/prod/", {"a": b"1", "shop/b": b"2"}),
        ("prod", {"c": b"3"}),
        ("/", {"prod/a": b"1", "prod/shop/b": b"2", "top": b"4"}),
        ("", {"prod/a": b"1", "prod/shop/b": b"2", "prod/c": b"3", "top": b"4", "bare": b"5"}),
        ("/none", {}),
    ],
)
def test_a_prefix_means_what_was_written(etcd, connect, prefix, expected):
    etcd.transact({"/prod/a": "1", "/prod/shop/b": "2", "prod/c": "3", "/top": "4", "bare": "5"})

    reading = connect(etcd).read([prefix])

    assert values(reading.trees[prefix]) == expected


def test_prefixes_may_overlap_and_repeat(etcd, connect):
    etcd.transact({"/prod/a": "1", "/prod/shop/b": "2", "/common/c": "3"})
    prefixes = ["/prod/shop", "/prod", "/common", "/prod", "/prod/", ""]

    reading = connect(etcd).read(prefixes)

    assert set(reading.trees) == set(prefixes)
    assert values(reading.trees["/prod/shop"]) == {"b": b"2"}
    assert values(reading.trees["/prod"]) == values(reading.trees["/prod/"]) == {"a": b"1", "shop/b": b"2"}
    assert values(reading.trees["/common"]) == {"c": b"3"}
    assert len(reading.trees[""]) == 3


def test_an_entry_has_the_revision_it_was_written_at(etcd, connect):
    first = etcd.put("/prod/a", "1")
    second = etcd.put("/prod/b", "2")

    reading = connect(etcd).read(["/prod"])

    assert {path: entry.revision for path, entry in reading.trees["/prod"].items()} == {
        "a": first,
        "b": second,
    }
    assert reading.revision == second


def test_two_keys_with_one_path_at_the_root_are_refused_by_name(etcd, connect):
    etcd.transact({"a": "1", "/a": "2"})

    with pytest.raises(Invalid, match=r"both 'a' and '/a'"):
        connect(etcd).read([""])


def test_odd_keys_survive(etcd, connect):
    for key in (
        b"/p/\xff\xfe",
        "/p/ключ".encode(),
        b"/p/with space",
        b"/p/a=b",
        b"/p/new\nline",
        b"/p//twice",
        b"/p/",
    ):
        etcd.put(key, b"\x00\xff")

    tree = connect(etcd).read(["/p"]).trees["/p"]

    assert set(tree) == {"\udcff\udcfe", "ключ", "with space", "a=b", "new\nline", "/twice"}
    assert {entry.value for entry in tree.values()} == {b"\x00\xff"}


def test_a_value_of_two_megabytes_reads_fine(etcd, connect):
    value = os.urandom(2 * 1024 * 1024)
    for number in range(4):
        etcd.put(f"/big/{number}", value)

    tree = connect(etcd).read(["/big"]).trees["/big"]

    assert [entry.value for entry in tree.values()] == [value] * 4


def test_many_pages_make_one_tree(etcd, connect):
    expected = {f"key{number:04}": str(number).encode() for number in range(1234)}
    for first in range(0, 1234, 100):
        names = list(expected)[first : first + 100]
        etcd.transact({f"/many/{name}": expected[name].decode() for name in names})

    reading = connect(etcd, page_size=7).read(["/many"])

    assert values(reading.trees["/many"]) == expected


def test_everything_is_read_at_one_revision_while_it_changes(etcd, connect):
    names = [f"key{number:03}" for number in range(60)]
    stop = threading.Event()
    written = threading.Event()

    def write():
        round_ = 0
        while not stop.is_set():
            round_ += 1
            puts = {f"/one/{name}": str(round_) for name in names[:30]}
            etcd.transact(puts | {f"/two/{name}": str(round_) for name in names[30:]})
            written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(30)
        backend = connect(etcd, page_size=3)
        revisions = set()
        for rounds in count():
            if rounds >= 25 and len(revisions) > 1:
                break
            reading = backend.read(["/one", "/two"])
            seen = {entry.value for tree in reading.trees.values() for entry in tree.values()}
            assert len(seen) == 1
            assert sum(len(tree) for tree in reading.trees.values()) == 60
            revisions.add(reading.revision)
    finally:
        stop.set()
        writer.join()


def test_a_read_survives_compaction_beneath_it(etcd, connect):
    for number in range(300):
        etcd.put(f"/compact/key{number:03}", "0")
    stop = threading.Event()

    def compact():
        while not stop.wait(0.03):
            etcd.compact(etcd.put("/elsewhere", ""))

    compactor = threading.Thread(target=compact)
    compactor.start()
    try:
        backend = connect(etcd, page_size=20)
        for _ in range(20):
            try:
                assert len(backend.read(["/compact"]).trees["/compact"]) == 300
            except Unavailable as error:
                assert "compacted" in str(error)  # noqa: PT017 - either is right
    finally:
        stop.set()
        compactor.join()


def test_several_threads_read_at_once(etcd, connect):
    etcd.put("/prod/a", "1")
    backend = connect(etcd)
    answers = []

    threads = [
        threading.Thread(target=lambda: answers.append(values(backend.read(["/prod"]).trees["/prod"])))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [{"a": b"1"}] * 20


def test_a_closed_backend_says_so(etcd, connect):
    backend = connect(etcd)
    backend.read(["/prod"])
    backend.close()
    backend.close()

    with pytest.raises(Unavailable, match="closed"):
        backend.read(["/prod"])
