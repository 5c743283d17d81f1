"""Whatever a template does with sensitive values: nothing that a render tells, but its targets, has any of them.

Here the renderer is asked directly, which allows thousands of templates; `test_commands` runs the commands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from confsync.logs import trace_of
from confsync.plan.diff import unified
from confsync.reads import Reads
from confsync.redact import redactor
from confsync.render.renderer import RenderFailed, Rendering
from confsync.testing.leaks import Leaks

Stores = Mapping[str, Mapping[str, bytes]]

EXAMPLES = int(os.environ.get("CONFSYNC_TAINT_EXAMPLES", "0"))
"""How many; 0: the few that the suite has time for, always the same."""
TELLS_LITTLE = re.compile(r"sha|md5|hmac|<|==| in | is |not |bool|truthy|with\(|isdigit|count|index")
"""Hashes are no encodings, and that something is so or not is no value."""
RUN = re.compile(r"[^\W_]{8,}")


def values_of(stage: Any, expressions: tuple[str, ...], stores: Stores, **sync: object) -> set[str]:
    """What the expressions give, each on its own, where that is made of a sensitive value and can be told."""
    found: set[str] = set()
    for expression in expressions:
        if TELLS_LITTLE.search(expression):
            continue
        try:
            rendering = stage.render({**sync, "template": {"inline": "{{ " + expression + " }}"}}, stores)
        except RenderFailed:
            continue
        for desired in rendering.desired:
            if desired.sensitive:
                found.update(told(desired.content, expression, stores))
    return found


def told(content: object, template: str, stores: Stores) -> set[str]:
    """The longer words in a content that can only come from a sensitive value."""
    public = " ".join([template.lower(), *(value.decode() for value in stores["values"].values())])
    public += " one.example two.example one/host two/host example one/password undefined generator"
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
    return {
        run
        for run in RUN.findall(text)
        if run.lower() not in public and len(set(run)) > 3 and not is_number(run)
    }


def is_number(run: str) -> bool:
    return run.isdigit() and len(run) < 10


def secret_values(stores: Stores) -> list[bytes]:
    return [*stores["vault"].values(), stores["mixed"]["one/password"]]


def kept(reads: Reads) -> str:
    """What the ledger keeps of what was read."""
    return repr((sorted(reads.keys), sorted(reads.missed), sorted(reads.listed), sorted(reads.templates)))


def outputs(rendering: Rendering, before: Rendering | None) -> dict[str, str]:
    """Everything a plan, a failed check and the ledger would show of it."""
    shown = {"reads": kept(rendering.reads), "paths": " ".join(d.spec.path for d in rendering.desired)}
    redact = redactor(rendering.secrets)
    old = before.desired if before else ()
    for number, desired in enumerate(rendering.desired):
        assert isinstance(desired.content, bytes)
        text = desired.content.decode()
        was = old[number].content if number < len(old) else None
        lines = unified(was, desired.content, sensitive=desired.sensitive, literals=rendering.literals)
        shown[f"diff {number}"] = "\n".join(lines)
        if desired.sensitive:
            shown[f"check that prints {number}"] = redact(text)
            words = sorted({word for line in text.split("\n") for word in re.split(r"[\s\"'=:;,]+", line)})
            shown[f"check that prints words of {number}"] = "\n".join(
                redact(f"bad value '{word}'") for word in words
            )
    return shown


def leaks_of(stage: Any, stores: Stores, other: Stores, case: Any) -> dict[str, list[str]]:
    """Render, and look at everything that is told: what of the secrets is in it."""
    sync = {"template": {"inline": case.template}, "to": "out"}
    made = values_of(stage, case.expressions, stores, to="out")
    try:
        before = stage.render(sync, other)
    except RenderFailed:
        before = None
    try:
        rendering = stage.render(sync, stores)
    except RenderFailed as failed:
        shown = {
            "error": str(failed.error), "hint": str(getattr(failed.error, "hint", "")), "reads": kept(failed.reads),
            "trace": trace_of(failed), "repr": repr(failed.error),
        }  # fmt: skip
    else:
        shown = outputs(rendering, before)
        if not TELLS_LITTLE.search(case.template):
            made |= told(rendering.desired[0].content, case.template, stores)
        any_read = any(name == "vault" or path == "one/password" for name, path in rendering.reads.keys)
        assert rendering.desired[0].sensitive or not any_read
    leaks = Leaks(secret_values(stores), made)
    return {kind: found for kind, text in shown.items() if (found := leaks.find(text))}


@settings(max_examples=EXAMPLES or 150, derandomize=not EXAMPLES)
@given(data=st.data())
def test_no_render_gives_away_a_secret(stage, strategies, data):
    stores = data.draw(strategies.stores())
    other = {**stores, "vault": data.draw(strategies.stores())["vault"]}
    assert leaks_of(stage, stores, other, data.draw(strategies.templates())) == {}
