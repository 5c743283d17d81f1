"""A target belongs to one sync at a time, whatever is edited; and no reload is forgotten on the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from confsync.clock import SystemClock
from confsync.config.loading import load_config
from confsync.ledger.ledger import Ledger, memory_ledger
from confsync.ledger.records import State
from confsync.reconcile.core import Core
from confsync.reconcile.reconciler import Reconciler, Report


class Project:
    """A configuration directory, and a ledger that outlives the processes a test plays."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ledger: Ledger = memory_ledger(SystemClock())
        self.values("{}")

    def values(self, text: str) -> None:
        (self.directory / "values.yaml").write_text(text)

    def syncs(self, text: str) -> None:
        head = "sources: {v: {backend: file, path: values.yaml}}\nsyncs:\n"
        (self.directory / "confsync.yaml").write_text(head + text)

    @contextmanager
    def reconciler(self) -> Iterator[Reconciler]:
        core = Core.open(load_config(self.directory / "confsync.yaml"), self.ledger)
        try:
            core.hub.refresh()
            yield Reconciler(core)
        finally:
            core.close()

    def apply(self, *names: str) -> Report:
        with self.reconciler() as reconciler:
            return reconciler.run_once(list(names) or None)

    def read(self, name: str) -> str:
        return (self.directory / name).read_text()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_path_that_moves_to_another_sync_stays(project: Project) -> None:
    for turn in range(5):
        project.syncs("  one: {template: {inline: same}, to: x.conf}\n")
        assert project.apply().in_agreement
        project.syncs(
            "  one: {template: {inline: same}, to: y.conf}\n  two: {template: {inline: same}, to: x.conf}\n"
        )

        assert project.apply().in_agreement, turn
        assert (project.read("x.conf"), project.read("y.conf")) == ("same", "same")

        project.syncs("  one: {template: {inline: same}, to: x.conf}\n")
        assert project.apply().in_agreement
        assert not (project.directory / "y.conf").exists()


def test_a_renamed_sync_still_owns_what_it_created(project: Project) -> None:
    project.syncs("  old: {template: {inline: x}, to: x.conf}\n")
    project.apply()
    project.syncs("  new: {template: {inline: x}, to: x.conf}\n")
    project.apply()
    project.syncs("  {}\n")

    assert project.apply().in_agreement
    assert not (project.directory / "x.conf").exists()


SHARED = (
    "  a: {for_each: \"v.dirs('a')\", template: {inline: a}, to: 'out-{{ each.key }}'}\n"
    "  b: {for_each: \"v.dirs('b')\", template: {inline: b}, to: 'out-{{ each.key }}'}\n"
)


def test_two_syncs_that_want_one_target_are_told_so_every_time(project: Project) -> None:
    project.syncs(SHARED)
    project.values("a: {x: {k: 1}}\nb: {x: {k: 1}}\n")

    for names in ((), ("b",), (), ("a",), ()):
        report = project.apply(*names)
        failed = [name for name, outcome in report.outcomes.items() if outcome.record.state is State.FAILED]
        assert failed == [name for name in ("b",) if not names or name in names]
    assert project.read("out-x") == "a"


def test_an_item_that_moves_between_two_syncs_arrives_in_one_apply(project: Project) -> None:
    project.syncs(SHARED)
    project.values("a: {x: {k: 1}, y: {k: 1}}\nb: {z: {k: 1}}\n")
    assert project.apply().in_agreement

    project.values("a: {y: {k: 1}}\nb: {x: {k: 1}, z: {k: 1}}\n")
    assert project.apply().in_agreement
    assert project.read("out-x") == "b"

    project.values("a: {x: {k: 1}, y: {k: 1}}\nb: {z: {k: 1}}\n")
    assert project.apply().in_agreement
    assert project.read("out-x") == "a"


def test_a_file_that_becomes_a_directory_leaves_nothing_behind(project: Project) -> None:
    project.syncs("  s: {data: {a: {value: x}}, to: {directory: {path: out}}}\n")
    project.apply()
    project.syncs("  s: {data: {a: {value: x}}, to: {directory: {path: out2}}}\n")

    assert project.apply().in_agreement
    assert sorted(project.ledger.targets()) == [f"directory:{project.directory}/out2"]


def test_a_reload_that_runs_in_the_midst_of_an_apply_does_not_settle_what_it_has_not_seen(
    project: Project,
) -> None:
    script = f"cd {project.directory}; cp x.conf loaded.tmp && mv loaded.tmp loaded"
    project.syncs(
        "  s:\n    template: {inline: \"{{ v('k') }}\"}\n    to: x.conf\n"
        f"    reload: {{shell: '{script}'}}\n"
    )
    project.values("k: start\n")
    project.apply()
    for turn in range(15):
        project.values(f"k: turn {turn}\n")
        with project.reconciler() as reconciler:
            ended = threading.Event()

            def reload_all_the_time(
                reconciler: Reconciler = reconciler, ended: threading.Event = ended
            ) -> None:
                while not ended.is_set():
                    reconciler.reloads.run()

            busy = threading.Thread(target=reload_all_the_time)
            busy.start()
            reconciler.apply(reconciler.assess("s"))
            ended.set()
            busy.join()
            reconciler.reloads.run()
        assert project.read("loaded") == project.read("x.conf") == f"turn {turn}"


def test_what_was_interrupted_before_it_was_written_is_still_ours_to_remove(project: Project) -> None:
    project.syncs("  s: {template: {inline: \"{{ v('k') }}\"}, to: x.conf}\n")
    project.values("k: old\n")
    project.apply()
    (row,) = project.ledger.targets().values()
    from dataclasses import replace

    # As a crash leaves it: the new content is intended, the old is still there.
    project.ledger.put_target(replace(row, digest="0" * 32, intended=True, previous=row.digest))
    project.syncs("  {}\n")

    assert project.apply().in_agreement
    assert not (project.directory / "x.conf").exists()
