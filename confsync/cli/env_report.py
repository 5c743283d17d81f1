"""What `confsync env` says beside its result: what did not come down, what was substituted, what is past its time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from confsync.text import plural, printable

if TYPE_CHECKING:
    from confsync.config.loading import LoadedConfig
    from confsync.environments.variables import Collected, Variable, Withheld
    from confsync.environments.writing_out import Outcome
    from confsync.environments.written import WrittenFile, WrittenFiles

_MOST = 8
"""Names in a line, and lines of a kind."""


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to say.

    Attributes:
        json: whether it is printed for programs, on stdout.
        outcome: what became of the file, where one was written.
    """

    loaded: LoadedConfig
    environment: str
    collected: Collected
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

    def where(self, rule: str) -> str:
        """` (FILE:LINE:COLUMN)` of a rule, or nothing where it is not found."""
        said = self.loaded.config.local.get(self.environment)
        kind, _, text = rule.removeprefix(f"local.{self.environment}.").partition(" ")
        text = text[1:-1]
        if said is None:
            return ""
        section = ("local", self.environment)
        if kind.startswith("allow"):
            return f" ({self.loaded.where((*section, 'allow'), of_key=True)})"
        if kind == "deny" and text in said.deny:
            return f" ({self.loaded.where((*section, 'deny', said.deny.index(text)))})"
        if kind == "substitute" and text in said.substitute:
            return f" ({self.loaded.where((*section, 'substitute', text), of_key=True)})"
        return ""


def _withheld(one: Withheld) -> dict[str, str]:
    return {"key": one.key, "why": one.why}


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
    _tell_by_reason("held back", "yellow", collected.held_back, report)
    _tell_by_reason("denied", "red", collected.denied, None)
    _tell_by_reason("not fetched", "cyan", collected.unfetched, None)
    substituted = [one for one in collected.variables if one.rule]
    _lines(
        "substituted", "cyan", [f"{one.name} by {one.rule}{report.where(one.rule)}" for one in substituted]
    )


def _tell_by_reason(label: str, colour: str, withheld: Sequence[Withheld], report: Report | None) -> None:
    """A line for each reason, with the keys it keeps."""
    by_reason: dict[str, list[str]] = {}
    for one in withheld:
        by_reason.setdefault(one.why, []).append(one.key)
    lines = []
    for reason, keys in list(by_reason.items())[: _MOST + 1]:
        where = report.where(reason) if report else ""
        lines.append(f"{_some(keys)}: {reason}{where}")
    lines += [""] * (len(by_reason) - len(lines))
    _lines(label, colour, lines)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


def _lines(label: str, colour: str, lines: Sequence[str]) -> None:
    for line in lines[:_MOST]:
        click.echo(f"{click.style(label.ljust(11), fg=colour)}  {printable(line)}", err=True)
    if len(lines) > _MOST:
        click.echo(f"{'':11}  and {len(lines) - _MOST} more: --output json lists all", err=True)


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
    return ", ".join(map(str, lines))


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
