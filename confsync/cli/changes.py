"""How a plan's changes look: a line each and its diff for people, JSON for programs."""

from __future__ import annotations

from typing import Any

import click

from confsync.cli.printing import path_of
from confsync.plan.change import Action, Change
from confsync.text import printable

_SIGNS = {
    Action.CREATE: ("+", "green"),
    Action.UPDATE: ("~", "yellow"),
    Action.PERMISSIONS: ("~", "yellow"),
    Action.METADATA: ("~", "yellow"),
    Action.DELETE: ("-", "red"),
    Action.WITHDRAW: ("-", "red"),
    Action.RELEASE: ("·", "cyan"),
    Action.ADOPT: ("=", "cyan"),
    Action.NONE: (" ", "white"),
}


def print_change(change: Change) -> None:
    """A plan's line for one target, and its diff."""
    sign, colour = _SIGNS[change.action]
    drift = click.style(" (drift)", fg="magenta") if change.drift else ""
    click.echo(
        f"{click.style(f'{sign} {change.action.value}', fg=colour)} {path_of(change.target)}  [{change.sync}]{drift}"
    )
    for reason in change.reasons:
        click.echo(f"    because {printable(reason)}")
    for line in change.diff:
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        click.echo("    " + (click.style(line, fg=colour) if colour else line))


def as_json(change: Change) -> dict[str, Any]:
    """A change for programs."""
    return {
        "sync": change.sync, "target": change.target, "action": change.action.value, "drift": change.drift,
        "sensitive": change.sensitive, "reasons": list(change.reasons), "diff": list(change.diff),
    }  # fmt: skip
