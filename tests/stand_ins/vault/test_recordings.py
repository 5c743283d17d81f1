"""The stand-in answers what a real Vault 1.8 answered: every recorded exchange, replayed in order."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .admin import VaultAdmin
from .fixtures import ADDRESS
from .server import VaultServer

pytestmark = pytest.mark.skipif(bool(os.environ.get(ADDRESS)), reason="a real server has state of its own")

LINES = (Path(__file__).parent / "recordings.jsonl").read_text().splitlines()
RECORDINGS = [json.loads(line) for line in LINES]
RECORDED_AT = 1795231656.0

DIFFERS = {
    "accessor", "certificate", "ciphertext", "client_token", "cluster_id", "cluster_name", "created_time",
    "creation_time", "deletion_time", "entity_id", "expiration", "expire_time", "id", "issue_time", "issuing_ca",
    "last_renewal", "lease_id", "private_key", "request_id", "role_id", "secret_id", "secret_id_accessor",
    "serial_number", "server_time_utc", "token", "updated_time", "uuid",
}  # fmt: skip
"""Fields whose value is each server's own; that they are there, of their type, and empty or not, is the same."""

GENERATED = {"username", "password"}
"""Fields that are each server's own in the answers of the database engine."""


class Replay:
    """Sends the recorded requests, with what the stand-in handed out in place of what was recorded."""

    def __init__(self, server: VaultServer) -> None:
        self._server = server
        server.clock.stop()  # time passes where a recording needs it to
        self._admin = VaultAdmin(server.address, "")
        self._ours = {RECORDINGS[-2]["request"]["body"]["key"]: server.unseal_key}

    def problems(self, recording: dict[str, Any]) -> list[str]:
        """What is not as recorded."""
        if recording["case"] == "expired token":
            self._server.advance(1.5)
        request, response = self._substituted(recording["request"]), recording["response"]
        status, body = self._admin.call(
            request["method"], request["path"], request["body"], request["headers"]
        )
        problems = (
            []
            if status == response["status"]
            else [f"status {status}, recorded {response['status']}: {body}"]
        )
        self._learn(response["body"], body)
        return problems + list(
            _differences(response["body"], body, recording["case"].startswith("database creds"))
        )

    def _substituted(self, request: Any) -> Any:
        text = json.dumps(request)
        for recorded, ours in self._ours.items():
            text = text.replace(json.dumps(recorded)[1:-1], json.dumps(ours)[1:-1])
        return json.loads(text)

    def _learn(self, recorded: Any, ours: Any) -> None:
        if not isinstance(recorded, dict) or not isinstance(ours, dict):
            return
        for name in recorded.keys() & ours.keys():
            if name in DIFFERS and recorded[name] and isinstance(ours[name], str):
                self._ours[recorded[name]] = ours[name]
            self._learn(recorded[name], ours[name])


def _differences(
    recorded: Any, ours: Any, generated: bool, name: str = "", where: str = "body"
) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(ours, dict):
        if recorded.keys() != ours.keys():
            yield f"{where} lacks {recorded.keys() - ours.keys()} and has {ours.keys() - recorded.keys()} more"
        for key in recorded.keys() & ours.keys():
            yield from _differences(recorded[key], ours[key], generated, key, f"{where}.{key}")
    elif isinstance(recorded, list) and isinstance(ours, list) and len(recorded) == len(ours):
        for place, (theirs, mine) in enumerate(zip(recorded, ours, strict=True)):
            yield from _differences(theirs, mine, generated, name, f"{where}[{place}]")
    elif not _agree(recorded, ours, name in DIFFERS or (generated and name in GENERATED)):
        yield f"{where} is {ours!r}, recorded {recorded!r}"


def _agree(recorded: Any, ours: Any, differs: bool) -> bool:
    """The same type; and the same value, or both of them empty or not."""
    if type(recorded) is not type(ours):
        return False
    return bool(recorded) == bool(ours) if differs else bool(recorded == ours)


@pytest.fixture(scope="module")
def outcome() -> Iterator[dict[str, list[str]]]:
    """The problems of each case: an exchange means something only after those before it."""
    with VaultServer(root_token="root", now=RECORDED_AT) as server:
        replay = Replay(server)
        yield {recording["case"]: replay.problems(recording) for recording in RECORDINGS}
        assert not server.bugs


def test_every_recorded_case_has_a_name_of_its_own() -> None:
    assert 109 == len(RECORDINGS) == len({recording["case"] for recording in RECORDINGS})


@pytest.mark.parametrize("case", [recording["case"] for recording in RECORDINGS])
def test_answers_as_recorded(outcome: dict[str, list[str]], case: str) -> None:
    assert not outcome[case]
