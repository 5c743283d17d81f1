"""Bursts of changes end with the right content, soon, and with few reloads."""

from __future__ import annotations

from time import monotonic

from confsync.testing.waiting import eventually


def etcd_source(etcd):
    return {"etcd": {"backend": "etcd", "endpoints": etcd.endpoints, "sensitive": False}}


def reloads(workspace):
    path = workspace.root / "reloads"
    return len(path.read_text().splitlines()) if path.exists() else 0


def burst(workspace, etcd, **more):
    etcd.put("/n", "start")
    script = workspace.script("reload", "echo x >> reloads")
    workspace.config(
        sources=etcd_source(etcd),
        syncs={"a": {"template": {"inline": "{{ etcd('n') }}"}, "to": "out/a", "reload": [script], **more}},
    )


def test_a_burst_with_wait_is_one_change_or_a_few(workspace, etcd):
    burst(workspace, etcd, wait={"min": "200ms", "max": "2s"})
    with workspace.daemon() as daemon:
        workspace.wait_content("a", "start")
        eventually(lambda: reloads(workspace) == 1)

        began = monotonic()
        for number in range(500):
            etcd.put("/n", str(number))
        workspace.wait_content("a", "499")
        took = monotonic() - began

        eventually(lambda: len(daemon.lines("reloaded")) >= 2)
        assert reloads(workspace) - 1 <= 1 + took / 0.2


def test_a_steady_stream_is_not_put_off_for_ever(workspace, etcd):
    burst(workspace, etcd, wait={"min": "500ms", "max": "1s"})
    with workspace.daemon():
        workspace.wait_content("a", "start")
        number, end = 0, monotonic() + 30
        while workspace.read("a") == "start" and monotonic() < end:
            number += 1
            etcd.put("/n", str(number))
        assert workspace.read("a") != "start"
        assert monotonic() < end
        workspace.wait_content("a", str(number))


def test_two_thousand_puts_without_wait_end_right_soon_after_the_last(workspace, etcd):
    burst(workspace, etcd)
    with workspace.daemon():
        workspace.wait_content("a", "start")

        for number in range(2000):
            etcd.put("/n", str(number))

        workspace.wait_content("a", "1999")
        workspace.wait_state("a", "ok")


def test_many_keys_of_many_syncs_in_a_burst_all_end_right(workspace, etcd):
    syncs, rounds = 50, 10
    etcd.transact({f"/s/{number}": "0" for number in range(syncs)})
    workspace.config(
        sources=etcd_source(etcd),
        syncs={
            f"s{number}": {"template": {"inline": f"{{{{ etcd('s/{number}') }}}}"}, "to": f"out/s{number}"}
            for number in range(syncs)
        },
    )
    with workspace.daemon():
        for turn in range(1, rounds + 1):
            for number in range(syncs):
                etcd.put(f"/s/{number}", str(turn))
        for number in range(syncs):
            workspace.wait_content(f"s{number}", str(rounds))


def test_what_is_never_seen_is_half_of_a_transaction(workspace, etcd):
    etcd.transact({"/a": "0", "/b": "0"})
    workspace.config(
        sources=etcd_source(etcd),
        syncs={"both": {"template": {"inline": "{{ etcd('a') }} {{ etcd('b') }}"}, "to": "out/both"}},
    )
    with workspace.daemon():
        workspace.wait_content("both", "0 0")
        seen = set()
        for number in range(300):
            etcd.transact({"/a": str(number), "/b": str(number)})
            seen.add(workspace.read("both"))
        workspace.wait_content("both", "299 299")
        assert all(len(set(text.split())) == 1 for text in seen)
