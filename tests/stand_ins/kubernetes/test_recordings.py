"""The stand-in answers what a real kube-apiserver 1.36 answered: every recorded exchange, replayed in order."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from confsync.testing.waiting import eventually

from .admin import APPLY, KubeAdmin, path_of
from .fixtures import KUBECONFIG
from .server import ApiServer

pytestmark = pytest.mark.skipif(
    bool(os.environ.get(KUBECONFIG)), reason="a real cluster has state of its own"
)

LINES = (Path(__file__).parent / "recordings.jsonl").read_text().splitlines()
RECORDINGS = [json.loads(line) for line in LINES]
CASES = [recording["case"] for recording in RECORDINGS]
RECORDED_AT = 1795231760.0

DIFFERS = {"uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "time", "continue"}
"""Fields whose value is each server's own; that they are there, of their type, and empty or not, is the same."""

OTHERS_WORK = {"list all namespaces by label": 201}
"""Lists that held what was made before the recording began."""


class Replay:
    """Sends the recorded requests, with what the stand-in handed out in place of what was recorded."""

    def __init__(self, server: ApiServer, kubeconfig: Path) -> None:
        self._server = server
        self._admin = KubeAdmin(server.kubeconfig(kubeconfig))
        self._ours: dict[str, str] = {}
        self._limited = ""
        self._before: dict[str, Callable[[], None]] = {
            "watch: resourceVersion too old": server.compact,
            "limited account: configmap allowed": self._make_limited_account,
            "custom resource create": self._next_second,
            "finalizer add": self._next_second,
        }

    def problems(self, recording: dict[str, Any]) -> list[str]:
        """What is not as recorded."""
        case, request, response = recording["case"], recording["request"], recording["response"]
        self._before.get(case, lambda: None)()
        if "watch=true" in request["path"]:
            return self._watch_problems(case, self._substituted(request["path"]), response["body"])
        status, body = self._sent(case, request)
        problems = (
            []
            if status == response["status"]
            else [f"status {status}, recorded {response['status']}: {body}"]
        )
        self._learn(response["body"], body)
        return problems + list(_differences(_expected(case, response["body"]), body, self._ours))

    def _sent(self, case: str, request: dict[str, Any]) -> tuple[int, Any]:
        headers = request["headers"]
        token = None
        if "Authorization" in headers:
            token = self._limited or "nobody's" if headers["Authorization"] else ""
        body = self._substituted(request["body"])
        if case == "secret over 1 MiB":
            body = _big_secret(body["bytes"])
        if case == "update with a stale resourceVersion":
            body["metadata"]["resourceVersion"] = "1"
        return self._admin.call(
            request["method"],
            self._substituted(request["path"]),
            body,
            content_type=headers.get("Content-Type", ""),
            token=token,
            agent="python-requests",
        )

    def _watch_problems(self, case: str, path: str, recorded: list[Any]) -> list[str]:
        """A watch sees what happens while it runs; the recorded one was ended after as many events."""
        where, _, query = path.partition("?")
        options = dict(pair.split("=", 1) for pair in query.split("&"))
        options["labelSelector"] = options.get("labelSelector", "").replace("%2F", "/").replace("%3D", "=")
        events: list[Any] = []
        with self._admin.watching(where, **options) as stream:
            if case == "watch: added, modified, deleted":
                self._make_events()
            elif case == "watch: times out by itself":
                eventually(self._server.watches)
                self._server.advance(1.0)
            for event in stream:
                events.append(event)
                if len(events) == len(recorded):
                    break
        self._learn(recorded, events)
        return list(_differences(recorded, events, self._ours))

    def _make_events(self) -> None:
        namespace = path_of("secrets", "demo", "w")
        for value in ("MQ==", "Mg=="):
            body = {
                "apiVersion": "v1", "kind": "Secret", "data": {"a": value}, "type": "Opaque",
                "metadata": {"labels": {"app.kubernetes.io/managed-by": "confsync"}, "name": "w"},
            }  # fmt: skip
            self._admin.must("PATCH", f"{namespace}?fieldManager=confsync", body, content_type=APPLY)
        self._admin.must("DELETE", namespace)

    def _make_limited_account(self) -> None:
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
        self._limited = self._admin.service_account("demo", "confsync", rule)

    def _next_second(self) -> None:
        """Managers are listed by when they wrote, to the second; what follows is written within one."""
        self._server.advance(1 - self._server.clock.now() % 1)

    def _substituted(self, request: Any) -> Any:
        text = json.dumps(request)
        for recorded, ours in self._ours.items():
            text = text.replace(recorded, ours)
        return json.loads(text)

    def _learn(self, recorded: Any, ours: Any) -> None:
        if isinstance(recorded, list) and isinstance(ours, list):
            for theirs, mine in zip(recorded, ours, strict=False):
                self._learn(theirs, mine)
        if not isinstance(recorded, dict) or not isinstance(ours, dict):
            return
        for name in recorded.keys() & ours.keys():
            if name == "uid" and isinstance(ours[name], str):
                self._ours[recorded[name]] = ours[name]
            elif name == "resourceVersion" and isinstance(ours[name], str):
                self._ours[f'"{recorded[name]}"'] = f'"{ours[name]}"'
                self._ours[f"resourceVersion={recorded[name]}&"] = f"resourceVersion={ours[name]}&"
            self._learn(recorded[name], ours[name])


def _big_secret(size: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"a": "A" * (size // 4 * 4)},
        "metadata": {"labels": {"app.kubernetes.io/managed-by": "confsync"}, "name": "big"},
    }  # fmt: skip


def _expected(case: str, body: Any) -> Any:
    if case not in OTHERS_WORK:
        return body
    assert OTHERS_WORK[case] == len(body["items"])
    return {**body, "items": [item for item in body["items"] if item["metadata"]["namespace"] == "demo"]}


def _differences(
    recorded: Any, ours: Any, same: dict[str, str], name: str = "", where: str = "body"
) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(ours, dict):
        if recorded.keys() != ours.keys():
            yield f"{where} lacks {recorded.keys() - ours.keys()} and has {ours.keys() - recorded.keys()} more"
        for key in recorded.keys() & ours.keys():
            yield from _differences(recorded[key], ours[key], same, key, f"{where}.{key}")
    elif isinstance(recorded, list) and isinstance(ours, list) and len(recorded) == len(ours):
        for place, (theirs, mine) in enumerate(zip(recorded, ours, strict=True)):
            yield from _differences(theirs, mine, same, name, f"{where}[{place}]")
    elif not _agree(recorded, ours, name, same):
        yield f"{where} is {ours!r}, recorded {recorded!r}"


def _agree(recorded: Any, ours: Any, name: str, same: dict[str, str]) -> bool:
    """The same type; and the same value, or both of them empty or not."""
    if type(recorded) is not type(ours):
        return False
    if name in DIFFERS:
        return bool(recorded) == bool(ours)
    if name == "message":
        return _numberless(_replaced(recorded, same)) == _numberless(ours)
    return bool(recorded == ours)


def _replaced(text: str, same: dict[str, str]) -> str:
    for recorded, ours in same.items():
        text = text.replace(recorded, ours)
    return text


def _numberless(text: str) -> str:
    """Without the revisions of this server or that one."""
    if "resource version" in text:
        return (
            "".join("#" if letter.isdigit() else letter for letter in text)
            .replace("##", "#")
            .replace("##", "#")
        )
    return text


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """The problems of each case: an exchange means something only after those before it."""
    with ApiServer(now=RECORDED_AT, controllers=False) as server:
        server.clock.stop()
        replay = Replay(server, tmp_path_factory.mktemp("kube") / "config")
        yield {recording["case"]: replay.problems(recording) for recording in RECORDINGS}
        assert not server.bugs


def test_every_recorded_case_has_a_name_of_its_own() -> None:
    assert 73 == len(RECORDINGS) == len(set(CASES))


@pytest.mark.parametrize("case", CASES)
def test_answers_as_recorded(outcome: dict[str, list[str]], case: str) -> None:
    assert not outcome[case]
