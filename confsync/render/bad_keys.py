"""The keys that keep a render from being used: those that are missing, and values that are not what they have to be.

A render goes on when it finds one, to find the others, and fails at its end with all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from confsync.errors import MissingKey, MissingKeys, RenderError, WrongValue, WrongValues
from confsync.reads import PathRead
from confsync.render.position import template_position
from confsync.render.refused_field import RefusedField
from confsync.snapshot import Found, as_bytes, full_key

if TYPE_CHECKING:
    from confsync.render.source_view import SourceView


@dataclass(slots=True, repr=False)
class BadKeys:
    """Belongs to one render in one thread. Where no place is given, it is that of the template code that is running.

    Attributes:
        missing: what was needed and does not exist.
        wrong: the values that are not what is said of their keys.
        sought: required keys that one source has not, and another may have; with the place where they were asked for.
    """

    missing: dict[PathRead, MissingKey] = field(default_factory=dict)
    wrong: dict[PathRead, WrongValue] = field(default_factory=dict)
    sought: dict[PathRead, tuple[SourceView, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.missing or self.wrong)

    def miss(self, source: SourceView, path: str, where: str) -> None:
        """A key that is needed and does not exist."""
        read = PathRead(source.name, path)
        if read in self.missing:
            return
        absent = source.view.absent(path)
        missing = MissingKey(source.name, path, where, absent.nearest, absent.detail)
        if source.rules is not None:
            missing = missing.documented(required=source.rules.is_required(path), ask=source.rules.ask(path))
        self.missing[read] = missing

    def require(self, source: SourceView, path: str, where: str = "") -> None:
        """A key that does not exist: where it has to, nothing stands in for it.

        Of a source that leaves it open which of several has the key, another may have it: that is known at the end.
        """
        rules = source.rules
        if rules is None:
            return
        for one in (path, *rules.required_fields(path)):
            if not rules.is_required(one):
                continue
            if rules.may_be_elsewhere(one):
                self.sought.setdefault(PathRead(source.name, one), (source, where or template_position()))
            else:
                self.miss(source, one, where or template_position())

    def check(self, source: SourceView, path: str, found: Found, where: str = "") -> None:
        """A key that was found. What was not fetched is not looked at."""
        if source.rules is not None and found.fetched:
            self._check(source, path, found, found.entry.value, where)

    def check_secret(self, source: SourceView, path: str, found: Found, value: Any, where: str = "") -> None:
        """A secret that was read as a whole, which shows each of its fields, or one field."""
        rules = source.rules
        if rules is None or "#" in path or not isinstance(value, Mapping):
            self.check(source, path, found, where)
            return
        # A field that may not be used is there, whatever it is.
        known = {name: one for name, one in value.items() if not isinstance(one, RefusedField)}
        for name, one in known.items() if found.fetched else ():
            self._check(source, f"{path}#{name}", found, as_bytes(one), where)
        for required in rules.required_fields(path) if found.fetched and len(known) == len(value) else ():
            if required.partition("#")[2] not in value:
                source.view.find(required)  # so that it is known why it is not there
                self.require(source, required, where)

    def _check(self, source: SourceView, path: str, found: Found, value: bytes, where: str) -> None:
        rules = source.rules
        problem = rules.wrong(path, value) if rules is not None else None
        if rules is None or problem is None:
            return
        key = full_key(found.prefix, path)
        where = where or template_position()
        self.wrong[PathRead(source.name, path)] = WrongValue(
            source.name, key, where, problem, rules.ask(path)
        )

    def error(self, found: Iterable[PathRead]) -> RenderError | None:
        """The error that names all of them; None: there are none.

        Args:
            found: what the render found in any source.
        """
        anywhere = {read.path for read in found} if self.sought else set()
        for read, (source, where) in self.sought.items():
            if read.path not in anywhere:
                self.miss(source, read.path, where)
        wrong = list(self.wrong.values())
        if self.missing:
            return MissingKeys(list(self.missing.values()), wrong)
        return WrongValues(wrong) if wrong else None
