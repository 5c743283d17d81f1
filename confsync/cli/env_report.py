"""What `confsync env` says beside its result: what did not come down, what was substituted, what is past its time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from confsync.text import plural, printable

if TYPE_CHECKING:
    from confsync.environments.output.writing_out import Outcome
    from confsync.environments.output.written import WrittenFile, WrittenFiles
    from confsync.environments.variables import Collected, Variable, Withheld

_MOST = 8
"""Names in a line, and lines of a kind."""


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to say.

    Attributes:
        places: rule -> where it is written, of those that substitute.
        json: whether it is printed for programs, on stdout.
        outcome: what became of the file, where one was written.
    """

    environment: str
    collected: Collected
    places: Mapping[str, str]
    json: bool
    reveal: bool
    outcome: Outcome | None = None

    def print_json(self) -> None:
        """Print it, if it was asked for."""
        from confsync.cli.printing import print_json

        if self.json:
            print_json(self._document())

    def _document(self) -> dict[str, Any]:
        collected, outcome = self.collected, self.outcome
        return {
            "environment": self.environment,
            "variables": {one.name: self._variable(one) for one in collected.variables},
            "held_back": [_withheld(one) for one in collected.held_back],
            "denied": [_withheld(one) for one in collected.denied],
            "not_fetched": [_withheld(one) for one in collected.unfetched],
            "idle_rules": list(collected.idle),
            "overrides": {one.name: list(one.lines) for one in outcome.overrides} if outcome else {},
            "file": _file(outcome) if outcome else None,
        }

    def _variable(self, one: Variable) -> dict[str, Any]:
        return {
            "value": None if one.sensitive and not self.reveal else one.value,
            "key": one.key,
            "sensitive": one.sensitive,
            "substituted_by": one.rule or None,
        }


def _withheld(one: Withheld) -> dict[str, str]:
    return {"key": one.key, "why": one.why, "place": one.place}


def _file(outcome: Outcome) -> dict[str, Any]:
    return {
        "path": outcome.path,
        "changed": outcome.changed,
        "variables": list(outcome.names),
        "edited_lines": [one.line for one in outcome.edited],
        "notes": [*outcome.notes, *outcome.written.notes],
    }


def tell(report: Report) -> None:
    """Say it on stderr, in a few lines however much there is."""
    collected = report.collected
    if report.outcome is not None:
        _tell_outcome(report.outcome, report.environment)
    _tell_by_reason("held back", "yellow", collected.held_back)
    _tell_by_reason("denied", "red", collected.denied)
    _tell_by_reason("not fetched", "cyan", collected.unfetched)
    substituted = [one for one in collected.variables if one.rule]
    texts = [f"{one.name} by {one.rule}{_at(report.places.get(one.rule, ''))}" for one in substituted]
    _lines("substituted", "cyan", texts)
    _lines("note", "yellow", collected.idle)


def _tell_by_reason(label: str, colour: str, withheld: Sequence[Withheld]) -> None:
    """A line for each reason, with the keys it keeps."""
    by_reason: dict[str, list[str]] = {}
    for one in withheld:
        by_reason.setdefault(f"{one.why}{_at(one.place)}", []).append(one.key)
    _lines(label, colour, [f"{_some(keys)}: {reason}" for reason, keys in by_reason.items()])


def _at(place: str) -> str:
    return f" ({place})" if place else ""


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


def _lines(label: str, colour: str, lines: Sequence[str]) -> None:
    for line in lines[:_MOST]:
        click.echo(f"{click.style(label.ljust(11), fg=colour)}  {printable(line)}", err=True)
    if len(lines) > _MOST:
        click.echo(f"{'':11}  and {len(lines) - _MOST} more: confsync env --output json lists all", err=True)


def _tell_outcome(outcome: Outcome, environment: str) -> None:
    shown = printable(outcome.path)
    count = plural(len(outcome.names), "variable")
    state = "written to" if outcome.changed else "already in"
    click.echo(f"{count} of {printable(environment)} {state} {shown}", err=True)
    if outcome.replaced:
        _lines("replaced", "cyan", [f"the block of {_some(outcome.replaced)}: a file has one"])
    edited = {name for one in outcome.edited for name in one.names}
    theirs = [one for one in outcome.overrides if one.name not in edited]
    _lines("yours", "cyan", [f"{one.name}, set in line {_numbers(one.lines)}" for one in theirs])
    repeated = [
        f"{one.name}, in lines {_numbers(one.lines)}: the last one counts" for one in outcome.repeated
    ]
    _lines("repeated", "yellow", repeated)
    kept = [
        f"{_some(one.names) or 'a comment'}: line {one.line}, which you wrote in our block, stands below it now"
        for one in outcome.edited
    ]
    _lines("kept", "yellow", kept)
    if outcome.removed:
        _lines(
            "restored", "yellow", [f"{_some(outcome.removed)}: leave out what you do not want with --without"]
        )
    for note in (*outcome.notes, *outcome.written.notes):
        _lines("note", "yellow", [note])


def _numbers(lines: Iterable[int]) -> str:
    return _some([str(line) for line in lines])


def remind(files: WrittenFiles) -> None:
    """Say on stderr which written files are past their time. Never raises."""
    from confsync.units import format_duration

    expired = files.expired()
    now = files.clock.now()

    def text(one: WrittenFile) -> str:
        return f"{one.path} ({one.environment}), since {format_duration(now - (one.until or now))}"

    _lines("expired", "red", [text(one) for one in expired])
    if expired:
        click.echo(f"{'':11}  remove what is past its time with: confsync env --clean --expired", err=True)
