"""Plans and applies with secrets that are fetched, lent out, rotated, denied, or must not be shown."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from stand_ins.installed import memory_secrets as memory_secrets

from confsync.cli.plan import planned
from confsync.clock import SystemClock
from confsync.config.loading import load_config
from confsync.errors import PlanRefused, Unavailable
from confsync.ledger import state_dir
from confsync.ledger.ledger import open_ledger
from confsync.ledger.records import State
from confsync.plan import saved
from confsync.reconcile.controller import Controller
from confsync.reconcile.core import Core
from confsync.reconcile.queue import WorkQueue
from confsync.reconcile.reconciler import Reconciler
from confsync.reconcile.secrets import secrets_of
from confsync.testing.memory_secrets import ManualClock, SecretStore, forget_secrets, shared_secrets
from confsync.testing.waiting import eventually

CREDS = "db/creds/app"
PASSWORD = "{{ vault('/db/creds/app').password }}"


@dataclass
class Process:
    """One run of confsync."""

    core: Core
    reconciler: Reconciler
    events: list = field(default_factory=list)

    @property
    def source(self):
        return self.core.hub.sources["vault"]

    def apply(self):
        return self.reconciler.run_once()


class Project:
    """A configuration, a state directory and a store, over any number of processes."""

    def __init__(self, directory):
        self.directory = directory
        self.name = str(directory)
        self.store: SecretStore = shared_secrets(self.name)
        self.clock = SystemClock()
        state_dir.prepare(directory / "state")
        self.ledger = open_ledger(directory / "state", self.clock)
        self.values = "k: v"
        self.options = ""

    def configure(self, syncs):
        (self.directory / "values.yaml").write_text(self.values)
        (self.directory / "confsync.yaml").write_text(
            f"sources:\n  vault: {{backend: secrets, name: '{self.name}'{self.options}}}\n"
            "  keys: {backend: file, path: values.yaml}\n"
            f"environments: {{prod: {{vault: prod}}}}\ndefaults: {{environment: prod}}\nsyncs:\n{syncs}"
        )

    def template(self, text, more=""):
        (self.directory / "templates").mkdir(exist_ok=True)
        (self.directory / "templates" / "t.j2").write_text(text)
        self.configure(f"  s:\n    template: t.j2\n    to: out\n{more}")

    @contextmanager
    def process(self, *, looking=False):
        events = []
        core = Core.open(
            load_config(self.directory / "confsync.yaml"),
            self.ledger,
            clock=self.clock,
            notify=events.append,
            looking=looking,
        )
        try:
            core.hub.refresh()
            yield Process(core, Reconciler(core), events)
        finally:
            core.close()

    def apply(self):
        with self.process() as process:
            return process.apply()

    def plan(self):
        """The changes a plan shows, and its problems."""
        with self.process(looking=True) as process:
            return planned(process.core, None, with_diffs=True)

    @property
    def out(self):
        return (self.directory / "out").read_text()


@pytest.fixture
def project(memory_secrets, tmp_path):
    project = Project(tmp_path)
    yield project
    project.ledger.close()
    forget_secrets(project.name)


@pytest.fixture
def lending(project):
    project.store.lends(CREDS, duration=600)
    project.template(f"host = {{{{ keys('k') }}}}\npassword = {PASSWORD}\n")
    return project


# Plans


def test_a_plan_before_the_first_apply_makes_nothing(lending):
    (change,), problems = lending.plan()

    assert problems == {}
    assert change.action.value == "create"
    assert lending.store.calls == []


def test_a_plan_after_an_apply_finds_nothing_to_do_and_makes_nothing(lending):
    assert lending.apply().in_agreement
    assert lending.out == "host = v\npassword = password-of-1-c0ffee\n"

    assert lending.plan() == ([], {})
    assert lending.store.lent == ["app-1"]


def test_a_plan_of_an_edited_template_shows_what_changes_beside_the_placeholder(lending):
    lending.apply()
    lending.template(f"host = other\npassword = {PASSWORD}\n")
    (change,), problems = lending.plan()

    assert problems == {}
    assert change.action.value == "update"
    assert "+host = other" in [line.rstrip() for line in change.diff]
    shown = "\n".join(change.diff)
    assert "password-of-1" not in shown
    assert lending.store.lent == ["app-1"]


def test_a_plan_of_another_key_shows_the_change_and_makes_nothing(lending):
    lending.apply()
    (lending.directory / "values.yaml").write_text("k: w")
    (change,), _ = lending.plan()

    assert change.action.value == "update"
    assert lending.store.lent == ["app-1"]


def test_what_cannot_be_foreseen_is_said_to_be_so_and_applied_all_the_same(project):
    project.store.lends(CREDS, duration=600)
    project.template("{{ vault('/db/creds/app').username.split('-')[1]|int + 41 }}")
    changes, problems = project.plan()

    assert changes == []
    assert "the result cannot be foreseen" in problems["s"]
    assert project.store.lent == []
    assert project.apply().in_agreement
    assert project.out == "42"


def test_a_saved_plan_with_a_credential_is_applied_and_refused_once_the_world_has_moved(lending):
    lending.apply()
    lending.template(f"edited\npassword = {PASSWORD}\n")
    changes, _ = lending.plan()
    text = saved.dump(changes, key_fingerprint="k")

    with lending.process() as process:
        now, _ = planned(process.core, None, with_diffs=False)
        saved.verify(text, now, key_fingerprint="k")
        assert lending.store.lent == ["app-1"]
        assert process.apply().in_agreement
    assert lending.out.startswith("edited\npassword = password-of-")
    with lending.process() as process, pytest.raises(PlanRefused):
        saved.verify(text, planned(process.core, None, with_diffs=False)[0], key_fingerprint="k")


def test_a_saved_plan_with_a_kept_credential_is_applied_exactly(lending):
    lending.options = ", keep_leases: true"
    lending.template(f"password = {PASSWORD}\n")
    lending.apply()
    lending.template(f"edited\npassword = {PASSWORD}\n")
    (change,), _ = lending.plan()
    with lending.process() as process:
        now, _ = planned(process.core, None, with_diffs=False)
        assert [one.after for one in now] == [change.after]
        report = process.apply()

    assert [one.after for one in report.changes] == [change.after]
    assert lending.out == "edited\npassword = password-of-1-c0ffee\n"
    assert lending.store.logins == 1


# Applies


def test_with_kept_leases_a_second_apply_finds_nothing_to_do(lending):
    lending.options = ", keep_leases: true"
    lending.template(PASSWORD)
    lending.apply()
    report = lending.apply()

    assert report.in_agreement
    assert report.changes == []
    assert lending.store.lent == ["app-1"]
    assert lending.store.is_alive("app-1")
    assert lending.store.logins == 1


def test_a_rotated_lease_is_rendered_written_and_reloaded_before_the_old_one_ends(project):
    project.clock = ManualClock()
    project.store.clock = project.clock
    project.store.lends(CREDS, duration=600, renewable=False)
    script = f"cat {project.directory}/out >> {project.directory}/loaded"
    project.template("{{ vault('/db/creds/app').username }}", f"    reload: {{shell: '{script}'}}\n")
    with project.process() as process:
        process.apply()
        assert process.apply().changes == []
        project.clock.advance(401)
        process.source.attend()
        assert [event.changes[""] for event in process.events if event.source == "vault"] == [{"/" + CREDS}]
        report = process.apply()

    assert [change.action.value for change in report.changes] == ["update"]
    assert [result.error for result in report.reloads] == [None]
    assert (project.directory / "loaded").read_text() == "app-1app-2"
    assert project.store.is_alive("app-1")


def test_a_secret_that_is_written_anew_as_it_was_writes_nothing(project):
    project.store.put("prod/db", {"password": "pa55"})
    project.template("{{ vault('db').password }}")
    with project.process() as process:
        process.apply()
        project.store.put("prod/db", {"password": "pa55"})
        process.source.resync(["db"], ["db"])
        process.source.attend()
        report = process.apply()

    assert report.changes == []
    assert report.in_agreement


def test_while_the_store_is_down_what_is_there_stays_and_is_stale(project):
    project.store.put("prod/db", {"password": "pa55"})
    project.template("{{ vault('db').password }}")
    with project.process() as process:
        process.apply()
        project.store.fail_with(Unavailable("it is down"))
        process.source.resync(["db"], ["db"])
        process.source.attend()
        stale = process.apply().outcomes["s"].record
        project.store.mend()

        assert (stale.state, project.out) == (State.STALE, "pa55")
        assert "prod/db: it is down" in stale.detail
    # And where nothing is remembered:
    project.store.fail_with(Unavailable("it is down"))
    record = project.apply().outcomes["s"].record
    assert (record.state, project.out) == (State.STALE, "pa55")


def test_a_listing_of_the_root_that_fails_later_leaves_the_sync_stale(project):
    project.store.put("prod/db", {"password": "pa55"})
    project.template("{{ vault.list()|join }}")
    with project.process() as process:
        assert process.apply().in_agreement
        project.store.fail_with(Unavailable("it is down"))
        process.source.resync([""], [""])
        process.source.attend()
        record = process.apply().outcomes["s"].record

    assert (record.state, project.out) == (State.STALE, "db")


def test_one_denied_path_fails_one_sync(project):
    for name in ("a", "b"):
        project.store.put(f"prod/{name}", {"x": name})
    project.store.deny("prod/a")
    project.configure(
        "".join(
            f"  {name}: {{template: {{inline: \"{{{{ vault('{name}').x }}}}\"}}, to: {name}.out}}\n"
            for name in "ab"
        )
    )
    report = project.apply()

    assert "permission denied on prod/a" in report.outcomes["a"].record.detail
    assert report.outcomes["b"].record.state is State.OK
    assert (project.directory / "b.out").read_text() == "b"


def test_what_one_engine_fails_at_fails_one_sync(project):
    """Also where everything is done in one pass, and nobody comes back a little later."""
    project.store.put("prod/b", {"x": "b"})
    project.store.fail_with(Unavailable("its database is down", key="prod/a"), "prod/a")
    project.configure(
        "".join(
            f"  {name}: {{template: {{inline: \"{{{{ vault('{name}').x }}}}\"}}, to: {name}.out}}\n"
            for name in "ab"
        )
    )
    report = project.apply()

    assert [outcome.record.state for outcome in report.outcomes.values()] == [State.FAILED, State.OK]


def test_many_syncs_of_few_secrets_ask_for_each_once(project):
    for number in range(5):
        project.store.put(f"prod/{number}", {"x": str(number)})
    project.configure(
        "".join(
            f"  s{n}: {{template: {{inline: \"{{{{ vault('{n % 5}').x }}}}\"}}, to: o{n}}}\n"
            for n in range(60)
        )
    )
    with project.process() as process:
        assert process.apply().in_agreement
        assert process.apply().changes == []

    assert project.store.count("fetch") == 5
    assert project.store.logins == 1


def test_what_reaches_the_ledger_shows_no_secret(project):
    project.store.put("prod/db", {"password": "hunter2-of-the-db", "name": "hunter3.test"})
    project.store.lends(CREDS, duration=600)
    project.store.certifies("pki/issue/web", duration=600)
    project.options = ", keep_leases: true"
    project.template(
        f"{{{{ vault('db').password }}}} {PASSWORD}"
        "{{ vault('/pki/issue/web', common_name=vault('db').name).private_key }}"
    )
    assert project.apply().in_agreement
    assert "password-of-1" in project.out

    state = b"".join(one.read_bytes() for one in (project.directory / "state").rglob("*") if one.is_file())
    for secret in (b"hunter2", b"hunter3", b"password-of-1", b"key-of-2", b"token-1"):
        assert secret not in state


# Workers


def test_what_is_asked_for_by_a_secret_name_is_looked_after_as_all_else(project):
    """Though the ledger must not have the name: a certificate for a site that is a secret is replaced in time."""
    project.clock = project.store.clock = ManualClock()
    project.store.put("prod/site", {"name": "secret.test"})
    project.store.certifies("pki/issue/web", duration=600)
    project.template("{{ vault('/pki/issue/web', common_name=vault('site').name).certificate }}")
    queue = WorkQueue(project.clock)
    with project.process() as process:
        controller = Controller(
            process.core, queue, WorkQueue(project.clock), project.clock, threading.Event(), lambda *_: None
        )
        controller.handle("s")
        for _ in range(14):
            project.clock.advance(30)
            controller.resync_sources(process.core.loaded.config.defaults.interval)
            process.source.attend()
        assert project.store.lent == ["secret.test", "secret.test"]
        for event in process.events:
            controller.on_source(event)
        project.clock.advance(5)
        assert queue.take() == "s"
        controller.handle("s")

    assert project.out == "certificate 2 for secret.test"
    state = b"".join(one.read_bytes() for one in (project.directory / "state").rglob("*") if one.is_file())
    assert b"secret.test" not in state


def test_a_change_while_a_sync_is_rendered_has_it_looked_at_again(project):
    """It is about to have read what changed, but nobody knows that yet."""
    project.store.put("prod/first", {"x": "old"})
    project.store.put("prod/second", {"x": "2"})
    project.template("{{ vault('first').x }} {{ vault('second').x }}")
    queue, reloads = WorkQueue(SystemClock()), WorkQueue(SystemClock())
    with project.process() as process:
        controller = Controller(
            process.core, queue, reloads, SystemClock(), threading.Event(), lambda *_: None
        )
        queue.add("s")
        assert queue.take() == "s"
        with ThreadPoolExecutor(1) as pool, project.store.holding("prod/second") as held:
            working = pool.submit(controller.handle, "s")
            assert held.arrived.wait(30)
            project.store.put("prod/first", {"x": "new"})
            process.source.resync(["first"], ["first", "second"])
            process.source.attend()
            for event in process.events:
                controller.on_source(event)
            held.release()
            working.result(30)
        queue.done("s")
        assert project.out == "old 2"
        assert eventually(queue.take) == "s"
        controller.handle("s")
        queue.done("s")

    assert project.out == "new 2"


def test_a_changed_listing_wakes_the_syncs_that_listed_it(project):
    project.store.put("prod/apps/a", {"x": "1"})
    project.template("{{ vault.list('apps')|join(' ') }}")
    queue = WorkQueue(SystemClock())
    with project.process() as process:
        controller = Controller(
            process.core, queue, WorkQueue(SystemClock()), SystemClock(), threading.Event(), lambda *_: None
        )
        controller.handle("s")
        project.store.put("prod/apps/b", {"x": "1"})
        interval = process.core.loaded.config.defaults.interval
        controller.resync_sources(interval)
        process.source.attend()
        for event in process.events:
            controller.on_source(event)
        assert eventually(queue.take) == "s"
        controller.handle("s")

    assert project.out == "a b"


def test_what_is_in_use_is_kept_alive_while_its_template_is_broken(lending, monkeypatch):
    monkeypatch.setattr("confsync.source.remembered._UNUSED", 0.0)
    queue, reloads = WorkQueue(SystemClock()), WorkQueue(SystemClock())
    with lending.process() as process:
        controller = Controller(
            process.core, queue, reloads, SystemClock(), threading.Event(), lambda *_: None
        )
        interval = process.core.loaded.config.defaults.interval
        source = process.source

        def wanted_after(template):
            (lending.directory / "templates" / "t.j2").write_text(template)
            controller.handle("s")
            controller.resync_sources(interval)
            return [known.address.path for known in source._memory.all() if not known.idle]

        assert wanted_after(PASSWORD) == [CREDS]
        assert wanted_after("{% if %}") == [CREDS]
        assert wanted_after("{{ keys('nothing') }}") == [CREDS]
        assert wanted_after("") == []


def test_each_field_of_a_secret_read_whole_is_known_as_a_secret_though_the_file_has_it_in_another_form(
    project,
):
    """What a failing reload prints is searched for these."""
    project.store.put("prod/db", {"password": "pw-with-a-dash-1"})
    project.template("{{ vault('db').password|b64encode }}")
    with project.process() as process:
        process.apply()
        assert "pw-with-a-dash-1" in set(secrets_of(process.core, "s"))
