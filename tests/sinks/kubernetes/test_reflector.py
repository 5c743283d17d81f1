"""The watch that keeps a list true: whatever ends it, nothing is missed, nothing is asked twice, nothing spins."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from stand_ins.kubernetes import ApiServer, Fault
from stand_ins.kubernetes.answers import Answer
from stand_ins.kubernetes.fixtures import Cluster
from stand_ins.watched import SteeredClock, Told, ours, seen

from confsync.sinks.kubernetes import reflector as module
from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.objects import KubeObject
from confsync.sinks.kubernetes.reflector import Reflector
from confsync.sinks.kubernetes.resources import SECRET
from confsync.testing.waiting import eventually

SELECTOR = "app.kubernetes.io/managed-by=confsync"
APPLY = "application/apply-patch+yaml"
LONG_ENOUGH = 6.0
"""Seconds after which the end of a watch is nothing special."""


@pytest.fixture
def reflector(client: Client, space: str, clock: SteeredClock) -> Iterator[Reflector]:
    """Of our Secrets in the test's namespace; not followed yet."""
    reflector = Reflector(client, SECRET, space, SELECTOR, clock)
    yield reflector
    reflector.stop()


@pytest.fixture
def followed(api_server: ApiServer, reflector: Reflector, told: Told) -> Reflector:
    """The same, with a watch that lives; the log of requests is empty."""
    reflector.follow(told)
    assert eventually(lambda: reflector._stream is not None)
    watched(api_server)
    api_server.forget_requests()
    return reflector


def watched(server: ApiServer, times: int = 1) -> None:
    assert eventually(lambda: server.watches("secrets") == times)


def write(server: ApiServer, space: str, name: str, **data: str) -> None:
    """Somebody makes a Secret with our label, or changes it; no request is logged, and the server may be stopped."""
    if server.get("secrets", space, name) is None:
        server.core.do("POST", f"/api/v1/namespaces/{space}/secrets", ours(name, **data))
    else:
        server.edit("secrets", space, name, {"stringData": data})


def place_of(reflector: Reflector) -> str:
    """Up to which revision all was told, and noted."""
    with reflector._lock:
        return reflector._revision


def revisions(server: ApiServer) -> list[str]:
    """From which each watch since began."""
    asked = [parse_qs(urlsplit(r.url).query) for r in server.requests if r.verb == "watch"]
    return [query["resourceVersion"][0] for query in asked]


class TestWhatIsTold:
    def test_what_others_add_modify_and_delete(
        self, cluster: Cluster, space: str, reflector: Reflector, told: Told
    ) -> None:
        reflector.follow(told)
        reflector.all()
        cluster.admin.create("secrets", space, ours("app", user="1"))
        assert eventually(lambda: told.names == ["app"])
        assert seen(reflector.get("app")) == {"user": b"1"}
        cluster.admin.edit("secrets", space, "app", {"stringData": {"user": "2"}})
        assert eventually(lambda: told.names == ["app"] * 2)
        assert seen(reflector.get("app")) == {"user": b"2"}
        cluster.admin.delete("secrets", space, "app")
        assert eventually(lambda: told.names == ["app"] * 3)
        assert reflector.get("app") is None

    def test_an_object_deleted_and_made_anew(
        self, cluster: Cluster, space: str, reflector: Reflector, told: Told
    ) -> None:
        cluster.admin.create("secrets", space, ours("app", user="1"))
        before = reflector.get("app")
        reflector.follow(told)
        cluster.admin.delete("secrets", space, "app")
        cluster.admin.create("secrets", space, ours("app", user="2"))

        assert eventually(lambda: told.names == ["app"] * 2)
        after = reflector.get("app")
        assert before is not None
        assert after is not None
        assert seen(after) == {"user": b"2"}
        assert after.uid != before.uid

    def test_an_object_that_loses_and_gets_our_label(
        self, cluster: Cluster, space: str, reflector: Reflector, told: Told
    ) -> None:
        cluster.admin.create("secrets", space, ours("app", user="1"))
        reflector.all()
        reflector.follow(told)
        for value in (None, "confsync"):
            label = {"metadata": {"labels": {"app.kubernetes.io/managed-by": value}}}
            cluster.admin.edit("secrets", space, "app", label)

        assert eventually(lambda: told.names == ["app"] * 2)
        assert seen(reflector.get("app")) == {"user": b"1"}

    def test_what_is_there_at_the_beginning_is_not_told(
        self, cluster: Cluster, space: str, reflector: Reflector, told: Told
    ) -> None:
        cluster.admin.create("secrets", space, ours("old"))
        reflector.follow(told)
        assert list(reflector.all()) == ["old"]
        cluster.admin.create("secrets", space, ours("new"))

        assert eventually(lambda: told.names == ["new"])

    def test_our_own_writes_are_not_told(
        self, cluster: Cluster, client: Client, space: str, reflector: Reflector, told: Told
    ) -> None:
        cluster.admin.create("secrets", space, ours("deleted"))
        before = reflector.get("deleted")
        assert before is not None
        cluster.admin.delete("secrets", space, "deleted")
        reflector.forget("deleted", before.uid)
        body = {"apiVersion": "v1", "kind": "Secret", **ours("app", user="u")}
        query = {"fieldManager": "confsync"}
        answer = client.request("PATCH", SECRET, space, "app", query=query, body=body, content_type=APPLY)
        reflector.put(KubeObject.parse(answer.body))
        reflector.follow(told)  # from the list, so it hears of all this
        cluster.admin.create("secrets", space, ours("other"))

        assert eventually(lambda: told.names)
        assert told.names == ["other"]
        assert sorted(reflector.all()) == ["app", "other"]

    def test_a_namespace_that_appears_later(
        self, cluster: Cluster, client: Client, clock: SteeredClock, told: Told
    ) -> None:
        name = cluster.admin.name("later")
        reflector = Reflector(client, SECRET, name, SELECTOR, clock)
        try:
            assert not reflector.all()
            reflector.follow(told)
            cluster.admin.create("namespaces", "", {"metadata": {"name": name}})
            cluster.admin.create("secrets", name, ours("app"))

            assert eventually(lambda: told.names == ["app"])
        finally:
            reflector.stop()

    def test_who_is_told_may_look(
        self, api_server: ApiServer, space: str, reflector: Reflector, clock: SteeredClock
    ) -> None:
        looks: list[object] = []
        reflector.all()
        reflector.follow(lambda name: looks.append(reflector.get(name)))
        watched(api_server)
        write(api_server, space, "a")
        assert eventually(lambda: len(looks) == 1)
        with api_server.core.store.changed:
            write(api_server, space, "b")
            api_server.compact(running=True)

        assert eventually(lambda: len(looks) == 2)
        assert None not in looks

    def test_a_mistake_in_who_is_told_does_not_end_the_watch(
        self, api_server: ApiServer, space: str, reflector: Reflector, caplog: pytest.LogCaptureFixture
    ) -> None:
        told: list[str] = []

        def on_change(name: str) -> None:
            told.append(name)
            raise RuntimeError("a mistake")

        reflector.follow(on_change)
        watched(api_server)
        write(api_server, space, "a")
        assert eventually(lambda: told == ["a"])
        write(api_server, space, "b")

        assert eventually(lambda: "b" in told)
        assert "a bug: please report it" in caplog.text


class TestWhenItAsks:
    def test_a_watch_that_lives_answers_every_look(
        self, api_server: ApiServer, space: str, followed: Reflector, told: Told, clock: SteeredClock
    ) -> None:
        write(api_server, space, "app", user="1")
        assert eventually(lambda: told.names == ["app"])
        for _ in range(9):
            clock.advance(60)
            followed.expire()
            assert seen(followed.get("app")) == {"user": b"1"}

        assert api_server.requests == []

    def test_a_resync_after_ten_minutes_lists_all_the_same(
        self, api_server: ApiServer, space: str, followed: Reflector, told: Told, clock: SteeredClock
    ) -> None:
        clock.advance(600)
        followed.all()
        assert api_server.requests == []
        followed.expire()
        followed.all()
        followed.expire()
        followed.all()

        assert (api_server.count("list"), api_server.count("watch")) == (1, 0)

    def test_a_list_begins_the_watch_where_it_ended(
        self, api_server: ApiServer, space: str, reflector: Reflector, told: Told
    ) -> None:
        reflector.all()
        revision = str(api_server.core.store.revision)
        reflector.follow(told)
        watched(api_server)

        assert api_server.count("list", "secrets") == 1
        assert revisions(api_server) == [revision]
        (watch,) = [request for request in api_server.requests if request.verb == "watch"]
        query = parse_qs(urlsplit(watch.url).query)
        assert query["allowWatchBookmarks"] == ["true"]
        assert query["labelSelector"] == [SELECTOR]
        assert 240 <= int(query["timeoutSeconds"][0]) <= 300

    def test_looks_and_the_watch_share_the_first_list(
        self, api_server: ApiServer, space: str, reflector: Reflector, told: Told
    ) -> None:
        api_server.faults.late(0.2, verb="list")
        reflector.follow(told)
        reflector.all()
        watched(api_server)

        assert api_server.count("list", "secrets") == 1

    def test_after_a_watch_what_it_told_last_is_believed_for_ten_seconds(
        self, api_server: ApiServer, followed: Reflector, clock: SteeredClock
    ) -> None:
        clock.advance(60)
        end_for_good(api_server, followed)
        clock.advance(9)
        followed.all()
        assert api_server.count("list") == 0
        clock.advance(1)
        followed.all()
        followed.all()

        assert api_server.count("list") == 1

    def test_a_watch_that_hardly_lived_proves_nothing(
        self, api_server: ApiServer, followed: Reflector, clock: SteeredClock
    ) -> None:
        clock.advance(4)
        end_for_good(api_server, followed)
        clock.advance(6)
        followed.all()

        assert api_server.count("list") == 1

    def test_after_a_lost_connection_the_last_sign_counts(
        self, api_server: ApiServer, cluster: Cluster, space: str, followed: Reflector, clock: SteeredClock
    ) -> None:
        cluster.admin.config_map(space, "other", {})
        clock.advance(60)
        api_server.bookmark()
        assert eventually(lambda: place_of(followed) == str(api_server.core.store.revision))
        clock.advance(9)
        api_server.faults.unavailable(verb="watch", times=None)
        api_server.restart()
        assert eventually(lambda: followed._stream is None)
        followed.all()
        assert api_server.count("list") == 0
        clock.advance(1)
        followed.all()

        assert api_server.count("list") == 1

    def test_a_server_that_answers_a_look_is_asked_for_a_watch_at_once(
        self, api_server: ApiServer, reflector: Reflector, told: Told
    ) -> None:
        reflector.all()
        fault = api_server.faults.rate_limited(30, verb="watch")
        reflector.follow(told)
        assert eventually(lambda: fault.hits == 1)
        reflector.expire()
        reflector.all()

        watched(api_server)


def end_for_good(server: ApiServer, reflector: Reflector) -> None:
    """The watch ends as at its timeout, and none can be had any more."""
    server.faults.unavailable(verb="watch", times=None)
    server.end_watches()
    assert eventually(lambda: reflector._stream is None)


class TestEnds:
    def test_a_timeout_is_nothing_special(
        self, api_server: ApiServer, space: str, followed: Reflector, told: Told, clock: SteeredClock,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        caplog.set_level(logging.DEBUG, logger="confsync")
        write(api_server, space, "a")
        assert eventually(lambda: told.names == ["a"])
        revision = str(api_server.core.store.revision)
        for times in range(1, 4):
            clock.advance(LONG_ENOUGH)
            api_server.advance(301)
            assert eventually(lambda times=times: api_server.count("watch") == times)
            watched(api_server)
        write(api_server, space, "b")

        assert eventually(lambda: told.names == ["a", "b"])
        assert api_server.count("list") == 0
        assert set(revisions(api_server)) == {revision}
        assert not caplog.records

    def test_a_restarted_server_loses_nothing(
        self, api_server: ApiServer, space: str, followed: Reflector, told: Told, clock: SteeredClock
    ) -> None:
        write(api_server, space, "old")
        assert eventually(lambda: told.names == ["old"])
        api_server.stop()
        write(api_server, space, "new")
        api_server.delete("secrets", space, "old")
        api_server.start()

        assert eventually(lambda: told.names == ["old", "new", "old"])
        assert list(followed.all()) == ["new"]
        assert api_server.count("list") == 0

    def test_a_server_that_stays_away_for_long(
        self, api_server: ApiServer, space: str, followed: Reflector, told: Told, clock: SteeredClock,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        caplog.set_level(logging.INFO, logger="confsync")
        api_server.stop()
        assert eventually(lambda: "not seen at once" in caplog.text)
        write(api_server, space, "new")
        api_server.start()

        assert eventually(lambda: told.names == ["new"])
        assert eventually(lambda: "seen at once again" in caplog.text)
        assert caplog.text.count("not seen at once") == 1

    def test_a_past_that_is_forgotten_while_it_was_away(
        self, api_server: ApiServer, space: str, followed: Reflector, told: Told, clock: SteeredClock
    ) -> None:
        for name in ("same", "changed", "gone"):
            write(api_server, space, name, user="1")
        assert eventually(lambda: len(told.names) == 3)
        told.forget()
        api_server.stop()
        write(api_server, space, "changed", user="2")
        write(api_server, space, "new")
        api_server.delete("secrets", space, "gone")
        api_server.compact()
        api_server.start()

        assert eventually(lambda: sorted(told.names) == ["changed", "gone", "new"])
        assert sorted(followed.all()) == ["changed", "new", "same"]
        assert seen(followed.get("changed")) == {"user": b"2"}
        assert api_server.count("list") == 1
        write(api_server, space, "after")
        assert eventually(lambda: "after" in told.names)

    def test_a_past_that_is_forgotten_in_mid_watch(
        self, api_server: ApiServer, space: str, followed: Reflector, told: Told
    ) -> None:
        write(api_server, space, "gone")
        assert eventually(lambda: told.names == ["gone"])
        told.forget()
        with api_server.core.store.changed:  # so that the watch cannot tell it before it ends
            write(api_server, space, "new")
            api_server.delete("secrets", space, "gone")
            api_server.compact(running=True)

        assert eventually(lambda: sorted(told.names) == ["gone", "new"])
        assert list(followed.all()) == ["new"]
        assert api_server.count("list") == 1

    def test_a_bookmark_moves_the_place_to_resume_from(
        self, api_server: ApiServer, cluster: Cluster, space: str, followed: Reflector, clock: SteeredClock
    ) -> None:
        cluster.admin.config_map(space, "other", {})
        revision = str(api_server.core.store.revision)
        api_server.bookmark()
        assert eventually(lambda: place_of(followed) == revision)
        api_server.compact()
        clock.advance(LONG_ENOUGH)
        api_server.end_watches()

        assert eventually(lambda: revisions(api_server) == [revision])
        watched(api_server)
        assert api_server.count("list") == 0

    def test_without_a_bookmark_that_place_would_be_forgotten(
        self, api_server: ApiServer, cluster: Cluster, space: str, followed: Reflector, clock: SteeredClock
    ) -> None:
        cluster.admin.config_map(space, "other", {})
        api_server.compact()
        clock.advance(LONG_ENOUGH)
        api_server.end_watches()

        assert eventually(lambda: api_server.count("list") == 1)
        watched(api_server)

    def test_half_an_event_is_none(
        self, api_server: ApiServer, space: str, reflector: Reflector, told: Told
    ) -> None:
        fault = api_server.faults.cut(200, verb="watch")
        reflector.follow(told)
        watched(api_server)
        write(api_server, space, "app", user="1")

        assert eventually(lambda: told.names == ["app"])
        assert fault.hits == 1
        assert api_server.count("list") == 1
        assert seen(reflector.get("app")) == {"user": b"1"}

    @pytest.mark.parametrize(
        "line",
        [
            '{"type": "ADDED", "object": {"metadata": {"name": "app"}}}',
            '{"type": "ADDED", "object": null}',
            '{"type": "BOOKMARK", "object": {"metadata": {}}}',
            '{"type": "RENAMED", "object": {"metadata": {"name": "a", "uid": "u", "resourceVersion": "7"}}}',
            '{"type": "ERROR", "object": {"code": 500, "reason": "InternalError"}}',
            '{"type": "ERROR", "object": null}',
            '{"object": {}}',
            "[]",
            "<html>",
        ],
    )
    def test_an_event_that_is_none_makes_it_list_again(
        self, api_server: ApiServer, space: str, reflector: Reflector, told: Told, line: str
    ) -> None:
        reflector.all()
        api_server.faults.add(Fault(verb="watch", answer=Answer(200, None, {}, text=line + "\n")))
        reflector.follow(told)
        watched(api_server)
        write(api_server, space, "app")

        assert eventually(lambda: told.names == ["app"])

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(
                504, {"kind": "Status", "code": 504, "message": "Too large resource version: 9, current: 7"}
            ),
            Answer(200, None, {}, text='{"type": "ERROR", "object": {"code": 500}}\n'),
            Answer(200, None, {}, text='{"type": "ADDED", "object": {}}\n'),
        ],
    )
    def test_a_place_the_server_cannot_go_on_from_is_given_up(
        self, api_server: ApiServer, space: str, reflector: Reflector, told: Told, answer: Answer
    ) -> None:
        reflector.all()
        place = reflector._revision
        fault = Fault(
            verb="watch", times=None, answer=answer, when=lambda call: call.option("resourceVersion") == place
        )
        api_server.faults.add(fault)
        write(api_server, space, "app")
        reflector.follow(told)

        assert eventually(lambda: told.names == ["app"])
        watched(api_server)
        assert fault.hits == 1

    def test_connections_that_break_again_and_again(
        self, api_server: ApiServer, space: str, reflector: Reflector, told: Told
    ) -> None:
        fault = api_server.faults.drop(verb="watch", times=3)
        reflector.follow(told)
        watched(api_server)
        write(api_server, space, "app")

        assert eventually(lambda: told.names == ["app"])
        assert fault.hits == 3
        assert api_server.count("list") == 1

    def test_a_server_that_ends_every_watch_at_once_is_not_stormed(
        self, api_server: ApiServer, space: str, reflector: Reflector, told: Told
    ) -> None:
        fault = api_server.faults.add(Fault(verb="watch", times=None, answer=Answer(200, None, {}, text="")))
        began = time.monotonic()
        reflector.follow(told)
        assert eventually(lambda: fault.hits >= 3)
        assert time.monotonic() - began > (0.1 + 0.2) * 0.75
        write(api_server, space, "app")
        api_server.faults.clear()

        assert eventually(lambda: told.names == ["app"])

    def test_a_server_that_forgets_at_once_is_not_stormed(
        self, api_server: ApiServer, space: str, reflector: Reflector, told: Told
    ) -> None:
        fault = api_server.faults.expired(verb="watch", times=None)
        began = time.monotonic()
        reflector.follow(told)
        assert eventually(lambda: fault.hits >= 3)

        assert time.monotonic() - began > (0.1 + 0.2) * 0.75
        assert api_server.count("list") <= api_server.count("watch") + 1

    def test_a_watch_that_says_nothing_is_dead(
        self, api_server: ApiServer, space: str, client: Client, clock: SteeredClock, told: Told,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(module, "_SILENCE", 0.2)
        reflector = Reflector(client, SECRET, space, SELECTOR, clock)
        reflector.follow(told)
        try:
            assert eventually(lambda: api_server.count("watch") >= 3)
            monkeypatch.setattr(module, "_SILENCE", 60.0)  # the next may take its time
            write(api_server, space, "app")

            assert eventually(lambda: told.names == ["app"])
            assert api_server.count("list") == 1
        finally:
            reflector.stop()

    def test_a_server_that_accepts_a_watch_and_never_answers(
        self, api_server: ApiServer, space: str, client: Client, clock: SteeredClock, told: Told,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(module, "_SILENCE", 0.2)
        fault = api_server.faults.late(0.5, verb="watch", times=2)
        reflector = Reflector(client, SECRET, space, SELECTOR, clock)
        reflector.follow(told)
        try:
            assert eventually(lambda: fault.hits == 2)
            monkeypatch.setattr(module, "_SILENCE", 60.0)  # the next may take its time
            write(api_server, space, "app")
            clock.advance(10)
            assert list(reflector.all()) == ["app"]  # looks do not wait for it

            assert eventually(lambda: api_server.count("watch") >= 3)
            watched(api_server)
        finally:
            reflector.stop()

    def test_a_restored_backup(
        self, api_server: ApiServer, space: str, followed: Reflector, told: Told, clock: SteeredClock
    ) -> None:
        """The numbers start again lower: the watch would wait for long, and the list shows it."""
        for number in range(9):
            write(api_server, space, "before", user=str(number))
        assert eventually(lambda: len(told.names) == 9)
        told.forget()
        store = api_server.core.store
        with store.changed:
            store.revision -= 5  # what is written now looks old
        write(api_server, space, "after")
        clock.advance(600)
        followed.expire()

        assert sorted(followed.all()) == ["after", "before"]
        assert seen(followed.get("before")) != {"user": b"8"}
        assert sorted(told.names) == ["after", "before"]
        assert eventually(lambda: api_server.count("watch") == 1)
        write(api_server, space, "later")
        assert eventually(lambda: "later" in told.names)


class TestWhatIsForbidden:
    @pytest.fixture
    def allowed(
        self, api_server: ApiServer, connect: Callable[..., Client], space: str, clock: SteeredClock,
        tmp_path: Path,
    ) -> Iterator[Reflector]:  # fmt: skip
        """Of a user who may do nothing yet, "app"."""
        config = api_server.kubeconfig(tmp_path / "app", token=api_server.user("app"))
        reflector = Reflector(connect(config), SECRET, space, SELECTOR, clock)
        yield reflector
        reflector.stop()

    def test_a_watch_that_is_forbidden_is_made_up_for_by_lists(
        self, api_server: ApiServer, space: str, allowed: Reflector, clock: SteeredClock, told: Told,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        caplog.set_level(logging.INFO, logger="confsync")
        api_server.grant("app", space, ["list"], ["secrets"])
        allowed.follow(told)
        assert eventually(lambda: api_server.count("watch") >= 3)

        (line,) = [record for record in caplog.records if "not seen at once" in record.message]
        assert line.levelname == "WARNING"
        assert "verbs: [watch]" in line.error
        assert repr(space) in line.error

        write(api_server, space, "app")
        allowed.expire()
        assert list(allowed.all()) == ["app"]
        assert eventually(lambda: told.names == ["app"])

    def test_once_it_is_allowed_it_works_by_itself(
        self, api_server: ApiServer, space: str, allowed: Reflector, clock: SteeredClock, told: Told,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        caplog.set_level(logging.INFO, logger="confsync")
        allowed.follow(told)
        assert eventually(lambda: "verbs: [list]" in str([vars(record) for record in caplog.records]))
        api_server.grant("app", space, ["list"], ["secrets"])
        clock.advance(1)
        assert eventually(lambda: "verbs: [watch]" in str([vars(record) for record in caplog.records]))
        api_server.grant("app", space, ["watch"], ["secrets"])
        watched(api_server)
        write(api_server, space, "app")

        assert eventually(lambda: told.names == ["app"])
        assert "seen at once again" in caplog.text


class TestStopping:
    def test_a_blocked_watch_ends_at_once(self, api_server: ApiServer, followed: Reflector) -> None:
        (thread,) = threads()
        assert thread.daemon
        assert "secrets in namespace" in thread.name
        began = time.monotonic()
        followed.stop()

        assert time.monotonic() - began < 60, "a watch lasts for minutes"
        assert eventually(lambda: threads() == [])
        followed.stop()

    def test_a_pause_ends_at_once(
        self, api_server: ApiServer, reflector: Reflector, told: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("confsync.backoff.CEILING", 3600.0)
        fault = api_server.faults.rate_limited(3600, verb="watch", times=None)
        reflector.follow(told)
        assert eventually(lambda: fault.hits == 1)
        reflector.stop()

        assert eventually(lambda: threads() == [])
        assert fault.hits == 1

    def test_a_server_that_does_not_answer_does_not_hold_it_up(
        self, api_server: ApiServer, reflector: Reflector, told: Told
    ) -> None:
        fault = api_server.faults.late(3600, verb="watch", times=None)
        reflector.follow(told)
        assert eventually(lambda: fault.hits == 1)
        began = time.monotonic()
        reflector.stop()

        assert time.monotonic() - began < 60
        api_server.faults.clear()
        assert eventually(lambda: threads() == [])
        assert fault.hits == 1

    def test_looks_still_work(
        self, api_server: ApiServer, space: str, followed: Reflector, told: Told, clock
    ) -> None:
        followed.stop()
        write(api_server, space, "app")
        clock.advance(10)

        assert list(followed.all()) == ["app"]
        assert told.names == []


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("watch ")]
