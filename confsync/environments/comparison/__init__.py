"""How environments differ: keys that only some of them have, values that are not the same.

Values are compared as the store has them, type included: Vault's number 1 is not its text "1", for a JSON or YAML file
made of them is another. Which prefix of an environment has a key is no difference. Of a sensitive value nothing is
kept but which environments have the same one.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from confsync.environments.comparison.looks import (
    Looked,
    Shown,
    State,
    Unlisted,
    look_at_all,
    look_by_request,
)
from confsync.errors import Invalid, SourceError

if TYPE_CHECKING:
    from confsync.config.keys import Key
    from confsync.reconcile.core import Core
    from confsync.source.documentation import Documentation


class Difference(Enum):
    """What became of a key."""

    VALUES = "values"
    """Some of the environments that have it have another value; others may not have it at all."""
    PRESENCE = "presence"
    """Those that have it have the same value, and some have not."""
    NONE = "none"
    UNKNOWN = "unknown"
    """Somewhere it could not be read, and elsewhere it is the same."""
    UNFETCHED = "unfetched"
    """It is made for whoever fetches it: there is nothing to compare."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A key in one environment.

    Attributes:
        group: equal for equal values: the number of the first environment that has it; None where there is no value.
        value: bytes, or of an addressed source what JSON can say; None where there is none, or it is sensitive.
        why: why it could not be read, or "".
    """

    state: State
    group: int | None = None
    value: Any = field(default=None, repr=False)
    why: str = ""


@dataclass(frozen=True, slots=True)
class ComparedKey:
    """One key in every environment.

    Attributes:
        cells: in the order of the environments.
        documentation: what the configuration says of it, or None.
    """

    source: str
    path: str
    sensitive: bool
    difference: Difference
    cells: tuple[Cell, ...]
    documentation: Key | None = None

    @property
    def name(self) -> str:
        """The key as commands take it: `source:path`."""
        return f"{self.source}:{self.path}"


@dataclass(frozen=True, slots=True)
class ComparedSource:
    """One source in every environment.

    Attributes:
        keys: sorted by path; those that are the same only where they were asked for.
        same: how many are.
        revision: the one all environments were read at; None where each key is asked for on its own, or none was.
        unlisted: the places where an environment may have more.
        problem: why nothing of it was compared, or "".
    """

    name: str
    keys: tuple[ComparedKey, ...] = ()
    same: int = 0
    revision: int | None = None
    unlisted: tuple[Unlisted, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How environments differ."""

    environments: tuple[str, ...]
    sources: tuple[ComparedSource, ...]

    @property
    def keys(self) -> Iterator[ComparedKey]:
        """All that are told of, source by source."""
        return (key for source in self.sources for key in source.keys)

    @property
    def same(self) -> int:
        """How many keys are the same everywhere."""
        return sum(source.same for source in self.sources)

    def count(self, *kinds: Difference) -> int:
        """How many keys differ in one of these ways."""
        return sum(1 for key in self.keys if key.difference in kinds)

    @property
    def differ(self) -> bool:
        """Whether some key is not the same everywhere."""
        return self.count(Difference.VALUES, Difference.PRESENCE) > 0

    @property
    def incomplete(self) -> bool:
        """Whether something could not be compared."""
        return (
            any(one.problem or one.unlisted for one in self.sources)
            or any(cell.why for key in self.keys for cell in key.cells)
        )  # fmt: skip

    @property
    def nothing(self) -> bool:
        """Whether there is not one key, and nothing that may hide one."""
        return not self.same and not self.incomplete and not any(True for _ in self.keys)


def compare(
    core: Core,
    environments: Sequence[str],
    *,
    documentation: Sequence[Documentation] = (),
    source: str | None = None,
    path: str = "",
    keep_same: bool = False,
) -> Comparison:
    """Compare environments of the sources of `core`, which has to be open for them. Reads the sources.

    Args:
        environments: each once, in the order in which they are told.
        documentation: of each environment; the first that knows a key describes it.
        source: only this one.
        path: only what is at and below it.
        keep_same: whether keys that are the same are listed too, not only counted.

    Raises:
        SourceError: `path` is none in the `source` that was named.
    """
    names = [source] if source else list(core.hub.sources)
    found = []
    for name in names:
        try:
            looked = _looked(core, name, environments, path)
        except Invalid as exc:
            if path and source and exc.key == path:
                raise
            if not path or exc.key != path:
                found.append(ComparedSource(name, problem=str(exc)))
            continue
        except SourceError as exc:
            found.append(ComparedSource(name, problem=str(exc)))
            continue
        found.append(_compared(core, name, looked, documentation, keep_same=keep_same))
    return Comparison(tuple(environments), tuple(found))


def _looked(core: Core, name: str, environments: Iterable[str], path: str) -> Looked:
    from confsync.source.source import Source

    prefixes = [core.hub.prefixes(name, environment) for environment in environments]
    source = core.hub.sources[name]
    if isinstance(source, Source):
        return look_at_all(source, prefixes, path)
    return look_by_request(source, prefixes, path)


def _compared(
    core: Core, name: str, looked: Looked, documentation: Sequence[Documentation], *, keep_same: bool
) -> ComparedSource:
    is_sensitive = core.hub.is_sensitive(name)
    keys: list[ComparedKey] = []
    same = 0
    for path, shown in looked.rows:
        groups = _groups(shown)
        difference = _difference(shown, groups)
        if difference is Difference.NONE:
            same += 1
            if not keep_same:
                continue
        sensitive = is_sensitive(path)
        cells = tuple(
            Cell(one.state, group, None if sensitive else one.value, one.why)
            for one, group in zip(shown, groups, strict=True)
        )
        said = next((key for one in documentation if (key := one.of(name, path))), None)
        keys.append(ComparedKey(name, path, sensitive, difference, cells, said))
    return ComparedSource(name, tuple(keys), same, looked.revision, looked.unlisted)


def _groups(shown: Sequence[Shown]) -> list[int | None]:
    """For each value the number of the first environment that has the same."""
    first: dict[Hashable, int] = {}
    return [
        first.setdefault(_identity(one.value), at) if one.state is State.PRESENT else None
        for at, one in enumerate(shown)
    ]


def _identity(value: Any) -> Hashable:
    """What is equal exactly for equal values of one source; a text is never equal to a number."""
    return value if isinstance(value, bytes | str) else (json.dumps(value, sort_keys=True),)


def _difference(shown: Sequence[Shown], groups: Sequence[int | None]) -> Difference:
    if len({group for group in groups if group is not None}) > 1:
        return Difference.VALUES
    states = {one.state for one in shown}
    if {State.PRESENT, State.MISSING} <= states:
        return Difference.PRESENCE
    if states & {State.DENIED, State.UNREADABLE}:
        return Difference.UNKNOWN
    return Difference.UNFETCHED if State.UNFETCHED in states else Difference.NONE
