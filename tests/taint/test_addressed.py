"""The same promise for sources that are asked for one secret at a time, and for what they decrypt."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from taint.conftest import Stage
from taint.strategies import Case, Stores, cases, in_time, stores, tries
from taint.test_renders import leaks_of

from confsync.clock import SystemClock
from confsync.config.models import Limits, Sync
from confsync.render.renderer import RenderFailed
from confsync.render.source_view import SourceView
from confsync.source.addressed import AddressedSource
from confsync.testing.memory_secrets import MemorySecretsBackend, SecretStore

KEY = "transit/app"
PASSWORD = "p@ss-w0rd!x"
SPELLINGS = {
    "vault.bytes('a')": "vault.decrypt_bytes('transit/app', values('cipher'))",
    "vault.get('b')": "vault.decrypt('transit/app', values('cipher'))",
    "vault.json('b')": "vault('b')",
    "vault.yaml('db/x')": "vault('db/x').doc",
    "vault.items()|first|last": "vault('a')|items|first|last",
    "vault.items()|map('last')": "vault('a').values()|list",
    "vault.items()": "vault('a')|items|list",
    "values.items()": "values.items('dir')",  # without the ciphertext, which is not encrypted
    "vault.children('db')": "vault('db/x').items()|list",
}


def asked(text: str) -> str:
    """What was written for a source with a listing, as it is written for one that is asked."""
    for enumerable, addressed in SPELLINGS.items():
        text = text.replace(enumerable, addressed)
    text = re.sub(r"vault\('([a-z/]+)'\)(?!\.doc|[.|]items|\.values)", r"vault('\1#v')", text)
    return re.sub(r"vault:([a-z/]+)", r"vault:\1#v", text)


def spelled(case: Case) -> Case:
    sync = json.loads(asked(json.dumps(case.sync)))
    return Case(sync, tuple(map(asked, case.expressions)), asked(case.text))


class Vault(Stage):
    """A stage whose `vault` is asked. It is another store at every render, as far as the sync can tell."""

    def views(self, stores: Stores) -> dict[str, SourceView]:
        store = SecretStore()
        for path, value in stores["vault"].items():
            store.put(f"prod/{path}", fields(value))
        plain = stores["vault"]["b"]
        cipher = store.encrypt(KEY, plain)
        source = AddressedSource("vault", MemorySecretsBackend(store), clock=SystemClock())
        found = super().views({**stores, "values": {**stores["values"], "cipher": cipher.encode()}})
        return {**found, "vault": SourceView("vault", source.view(("prod",), looking=False), lambda _: True)}


def fields(value: bytes) -> dict[str, Any]:
    """A secret with a field of each type."""
    text = value.decode("utf-8", "replace")
    try:
        doc = json.loads(text)
    except ValueError:
        doc = {"user": text, "list": [text]}
    return {"v": text, "doc": doc, "user": text[::-1]}


@pytest.fixture(scope="module")
def vault(stage: Stage) -> Iterator[Vault]:
    return Vault(stage.renderer)


@in_time
@tries(60)
@given(data=st.data())
def test_no_render_gives_away_a_secret_that_was_asked_for(vault, data):
    found = data.draw(stores())
    other = {**data.draw(stores()), "values": found["values"]}
    assert leaks_of(vault, found, other, spelled(data.draw(cases()))) == {}


@pytest.mark.parametrize("denied", [True, False])
@pytest.mark.parametrize("way", ["{}", "{}|upper", "('x' ~ {})|b64encode"])
@pytest.mark.parametrize(
    "use",
    [
        "vault('users/' ~ {}).x",
        "vault.list({})",
        "vault('a#' ~ {})",
        "vault('a')[{}]",
        "vault.decrypt({}, 'x')",
    ],
)
def test_a_path_made_of_a_secret_is_in_no_error_of_the_store_and_not_kept(vault, denied, way, use):
    made = way.format("vault('a').v")
    store = SecretStore()
    store.put("prod/a", {"v": PASSWORD})
    source = AddressedSource("vault", MemorySecretsBackend(store), clock=SystemClock())
    names = [PASSWORD, PASSWORD.upper(), base64.b64encode(f"x{PASSWORD}".encode()).decode()]
    for name in names if denied else ():
        store.deny(f"prod/users/{name}")
        store.deny(f"prod/{name}")
    views = {"vault": SourceView("vault", source.view(("prod",), looking=False), lambda _: True)}
    sync = Sync.model_validate({"template": {"inline": f"{{{{ {use.format(made)} }}}}"}, "to": "out"})
    try:
        rendering = vault.renderer.render("app", sync, Limits(), views, {})
        shown, reads = "", rendering.reads
    except RenderFailed as failed:
        shown, reads = f"{failed.error} {failed.error!r} {getattr(failed.error, 'key', '')}", failed.reads
    assert [name for name in names if name in shown or name in repr(reads)] == []
