"""Whatever a template does with sensitive values: nothing that a render tells, but its targets, has any of them.

Here the renderer is asked directly, which allows thousands of templates; `test_commands` runs the commands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from taint.strategies import ENCODERS, FILTERS, TELLS_LITTLE, Stores, cases, in_time, stores, tries

from confsync.logs import trace_of
from confsync.plan.diff import unified
from confsync.reads import Reads
from confsync.redact import redactor
from confsync.render.renderer import RenderFailed, Rendering
from confsync.testing.leaks import Leaks

PUBLIC = " one.example two.example one/host two/host example one/password undefined generator"
UNTRIED = {"rejectattr", "reject"}
"""Filters that differ from one that is tried in a `not`."""
RUN = re.compile(r"[^\W_]{8,}")


def values_of(stage: Any, case: Any, stores: Stores) -> set[str]:
    """What the expressions give, each on its own, where that is made of a sensitive value and can be told."""
    found: set[str] = set()
    items = {name: value for name, value in case.sync.items() if name == "for_each"}
    to = "o/{{ each.key|sha256 }}" if items else "out"
    for expression in case.expressions:
        if TELLS_LITTLE.search(expression):
            continue
        try:
            sync = {**items, "to": to, "template": {"inline": "{{ " + expression + " }}"}}
            rendering = stage.render(sync, stores)
        except RenderFailed:
            continue
        for desired in rendering.desired:
            if desired.sensitive:
                found.update(told(desired.content, expression, stores))
    return found


def told(content: bytes | Mapping[str, bytes], own: str, stores: Stores) -> set[str]:
    """The longer words in a content that can only come from a sensitive value."""
    public = " ".join([own, *(value.decode() for value in stores["values"].values())]).lower() + PUBLIC
    files = [content] if isinstance(content, bytes) else content.values()
    text = "\n".join(file.decode("utf-8", "replace") for file in files)
    runs = RUN.findall(
        re.sub(r"(one|two)\.example|shop|0x[0-9a-f]+", " ", text)
    )  # neither values that are no secrets, nor addresses
    return {run for run in runs if run.lower() not in public and len(set(run)) > 3 and not is_number(run)}


def is_number(run: str) -> bool:
    return run.isdigit() and len(run) < 10


def secret_values(stores: Stores) -> list[bytes]:
    return [*stores["vault"].values(), stores["mixed"]["one/password"]]


def kept(reads: Reads) -> str:
    """What the ledger keeps of what was read."""
    return repr((sorted(reads.keys), sorted(reads.missed), sorted(reads.listed), sorted(reads.templates)))


def contents(rendering: Rendering | None) -> dict[str, bytes | Mapping[str, bytes]]:
    return {desired.spec.path: desired.content for desired in rendering.desired} if rendering else {}


def outputs(rendering: Rendering, before: Rendering | None) -> dict[str, str]:
    """Everything a plan, a failed check and the ledger would show of it."""
    shown = {"reads": kept(rendering.reads), "paths": " ".join(contents(rendering))}
    redact = redactor(rendering.secrets)
    old = contents(before)
    for desired in rendering.desired:
        path, content = desired.spec.path, desired.content
        lines = unified(old.get(path), content, sensitive=desired.sensitive, literals=rendering.literals)
        shown[f"diff of {path}"] = "\n".join(lines)
        files = [content] if isinstance(content, bytes) else content.values()
        text = "\n".join(file.decode() for file in files)
        if not desired.sensitive:
            shown[f"what everybody may read in {path}"] = text
        else:
            shown[f"check that prints {path}"] = redact(text)
            words = sorted({word for line in text.split("\n") for word in re.split(r"[\s\"'=:;,]+", line)})
            shown[f"check that prints words of {path}"] = "\n".join(redact(f"bad '{word}'") for word in words)
    return shown


def leaks_of(stage: Any, stores: Stores, other: Stores, case: Any) -> dict[str, list[str]]:
    """Render, and look at everything that is told: what of the secrets is in it."""
    before, rendering = rendered(stage, case, other), rendered(stage, case, stores)
    if isinstance(rendering, Rendering):
        shown = outputs(rendering, before if isinstance(before, Rendering) else None)
        any_read = any(name == "vault" or path == "one/password" for name, path in rendering.reads.keys)
        assert not any_read or "for_each" in case.sync or all(one.sensitive for one in rendering.desired)
    else:
        error = rendering.error
        told = f"{error} {error.hint} {error!r} {trace_of(rendering)}"
        shown = {"error": told, "reads": kept(rendering.reads)}
    made = made_of(stage, case, stores, rendering)
    if Leaks([], made).find("\n".join(shown.values())):
        made -= made_of(stage, case, other, before)  # what other secrets become too tells nothing of these
    leaks = Leaks(secret_values(stores), made)
    return {kind: found for kind, text in shown.items() if (found := leaks.find(text))}


def rendered(stage: Any, case: Any, stores: Stores) -> Rendering | RenderFailed:
    try:
        return stage.render(case.sync, stores)
    except RenderFailed as failed:
        return failed


def made_of(stage: Any, case: Any, stores: Stores, rendering: Rendering | RenderFailed) -> set[str]:
    """What secrets became in the expressions and in the whole."""
    found = values_of(stage, case, stores)
    if isinstance(rendering, Rendering) and not TELLS_LITTLE.search(case.text):
        for content in contents(rendering).values():
            found |= told(content, case.text, stores)
    return found


def test_every_filter_is_tried(stage):
    tried = {re.match(r"\w+", one)[0] for text in (*FILTERS, *ENCODERS) for one in text.split("|")}
    known = stage.renderer._templates._environment.filters
    assert set(known) - tried - UNTRIED == set()


@in_time
@tries(150)
@given(data=st.data())
def test_no_render_gives_away_a_secret(stage, data):
    found = data.draw(stores())
    other = {**data.draw(stores()), "values": found["values"]}
    assert leaks_of(stage, found, other, data.draw(cases())) == {}
