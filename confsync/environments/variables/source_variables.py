"""The variables of whole sources: every key that is wanted, read as whoever asks may read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from confsync.environments.variables.gathering import Gathering
from confsync.environments.variables.selection import is_below
from confsync.errors import ConfsyncError, Denied, Invalid, SourceError, Unavailable
from confsync.snapshot import View, as_bytes
from confsync.text import nearest, printable

_MOST_SECRETS = 10_000


def gather_sources(gathering: Gathering) -> None:
    """Every wanted key of every source.

    Raises:
        ConfsyncError: a source cannot be asked, or gives nothing at all to whoever asks.
    """
    for source in gathering.core.hub.sources:
        if gathering.selector.prefixes(source):
            _gather_source(gathering, source)
    gathering.add_stand_ins()
    gathering.require(lambda *key: _is_in_environment(key[1]) and gathering.selector.wants(*key))
    if not (gathering.seen or gathering.denied or gathering.unfetched or gathering.problems):
        gathering.problems.append(_nothing(gathering))


def _gather_source(gathering: Gathering, source: str) -> None:
    closed = gathering.policy.closes(source)
    if closed is not None:
        gathering.seen.add((source, "*"))
        gathering.hold_back(f"{source}:*", closed)
        return
    try:
        gathering.core.hub.sources[source].refresh()
    except Denied as exc:
        hint = _either(exc.hint or "log in", _reading_others(gathering))
        raise ConfsyncError(f"{source}: it may not be read: {exc.message}", hint=hint) from exc
    view = gathering.core.hub.view(source, gathering.environment, looking=True)
    if view.by_request:
        _Secrets(gathering, source, view).gather()
        return
    if view.snapshot.grant is not None:
        _gather_granted(gathering, source, view)
        return
    for prefix in gathering.selector.prefixes(source):
        for path in (prefix, *view.below(prefix)):
            found = view.find(path)
            if found is not None and gathering.selector.wants(source, path):
                gathering.take(source, path, found.entry.value)


def _gather_granted(gathering: Gathering, name: str, view: View) -> None:
    """What may be read of a source of which not everything may be, as `diff` looks at it."""
    from confsync.environments.comparison.looks import State, look_into

    refused: list[str] = []
    wanted = gathering.selector.prefixes(name)
    for prefix in wanted:
        looked = look_into(view.snapshot, [view.prefixes], prefix)
        for path, (shown,) in looked.rows:
            if not gathering.selector.wants(name, path):
                continue
            if shown.state is State.PRESENT:
                gathering.take(name, path, shown.value)
            else:
                gathering.deny(f"{name}:{path}", shown.why)
        for one in looked.unlisted:
            gathering.deny(f"{name}:{one.place}", one.why)
        if not looked.rows and len(looked.unlisted) == len(view.prefixes):
            refused.append(looked.unlisted[0].why)
    if len(refused) == len(wanted):
        hint = _either(_reading_others(gathering))
        raise ConfsyncError(f"{name}: it may not be read: {refused[0]}", hint=hint)


def _either(*hints: str) -> str | None:
    return "; ".join(filter(None, hints)) or None


def _reading_others(gathering: Gathering) -> str:
    if len(gathering.core.hub.sources) == 1:
        return ""
    return f"or read only the other sources: confsync env {gathering.environment} OTHER:"


@dataclass(slots=True)
class _Secrets:
    """Reads the secrets of one addressed source, each once.

    Attributes:
        refused: the listings that were denied.
        known: the secrets looked at -> whether they exist.
        answered: whether the store gave us anything but refusals.
    """

    gathering: Gathering
    source: str
    view: View
    refused: list[Denied] = field(default_factory=list)
    known: dict[str, bool] = field(default_factory=dict)
    answered: bool = False

    def gather(self) -> None:
        """All that are listed to whoever asks, or named by the selection or the configuration."""
        for secret in self._named():
            if secret not in self.known:
                self.known[secret] = self._gather(secret)
        if self.refused and not self.answered:
            first = self.refused[0]
            raise ConfsyncError(
                f"{self.source}: nothing of it may be read: {first.message}",
                hint=_either(
                    first.hint or "log in",
                    "or name what you may read, without a list: "
                    f"confsync env {self.gathering.environment} SECRET, or the configuration's `keys:`",
                    _reading_others(self.gathering),
                ),
            )
        for one in self.refused:
            self.gathering.deny(f"{self.source}:{one.key or ''}", one.message)

    def _named(self) -> Iterator[str]:
        prefixes = self.gathering.selector.prefixes(self.source)
        for prefix in prefixes:
            secret, field_sign, _ = prefix.partition("#")
            if secret:
                yield secret
            if not field_sign:
                yield from self._listed(secret)
        for written, _ in self.gathering.documentation.written_out(self.source):
            path = self.gathering.shown(self.source, written)
            if _is_in_environment(path) and any(is_below(path, prefix) for prefix in prefixes):
                yield path.partition("#")[0]

    def _listed(self, place: str) -> Iterator[str]:
        """The secrets below a place, at any depth, as far as they are listed to us."""
        left, count = [place], 0
        while left:
            here = left.pop()
            names = self._names(here, place)
            self._read_ahead(here, names)
            for name in names:
                count += 1
                if count > _MOST_SECRETS:
                    raise Invalid(
                        f"{self.source}: there are more than {_MOST_SECRETS} secrets below {place or 'its root'}",
                        hint="select some: a prefix",
                    )
                path = _below(here, name)
                if path.endswith("/"):
                    left.append(path.rstrip("/"))
                else:
                    yield path

    def _read_ahead(self, directory: str, names: Iterable[str]) -> None:
        """Have the secrets of a directory read at the same time, of those that will be read at all."""
        gathering = self.gathering
        secrets = (_below(directory, name) for name in names if not name.endswith("/"))
        self.view.read_ahead(
            secret
            for secret in secrets
            if secret not in self.known
            and gathering.selector.may_want(self.source, secret)
            and gathering.policy.closes(self.source, secret) is None
        )

    def _names(self, directory: str, place: str) -> list[str]:
        try:
            names = self.view.under(directory)
        except Denied as exc:
            if not self._is_secret(directory, place):
                self.refused.append(exc)
            return []
        except Unavailable:
            raise
        except SourceError:
            if not self._is_secret(directory, place):  # else its engine may have no lists at all
                raise
            return []
        self.answered = True
        return names

    def _is_secret(self, directory: str, place: str) -> bool:
        """Whether what was selected is a secret, which need not be a directory too."""
        return directory == place and self.known.get(place, False)

    def _gather(self, secret: str) -> bool:
        """The fields of one secret that are wanted; whether there is such a secret."""
        gathering, key = self.gathering, f"{self.source}:{secret}"
        if not gathering.selector.may_want(self.source, secret):
            return False
        closed = gathering.policy.closes(self.source, secret)
        if closed is not None:
            gathering.seen.add((self.source, secret))
            gathering.hold_back(key, closed)
            return False
        try:
            looked = self.view.look_up(secret)
        except Denied as exc:
            gathering.deny(key, exc.message)
            return False
        self.answered = True
        if looked is None:
            return False
        found, fields = looked
        if not found.fetched:
            gathering.leave_unfetched(key)
            return True
        for path, value in fields_of(secret, fields):
            if gathering.selector.wants(self.source, path):
                gathering.take(self.source, path, value)
        return True


def _below(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _is_in_environment(path: str) -> bool:
    """Whether an environment shows a path: not what is elsewhere in a store, and asked for from its root."""
    return not path.startswith("/")


def fields_of(secret: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """(path, value) of each field of a secret, sorted; one without a name has no path, and null is empty."""
    for name in sorted(filter(None, fields)):
        value = fields[name]
        yield f"{secret}#{name}", b"" if value is None else as_bytes(value)


def _nothing(gathering: Gathering) -> str:
    """That what was selected does not exist, with what is most like it."""
    selection = gathering.selection
    start = f"environment {gathering.environment} has no keys"
    named = [*selection.prefixes, *selection.globs]
    if not named:
        return f"{start} that were not left out" if selection.without or selection.documented else start
    start = f"{start} for {printable(', '.join(map(repr, named)))}"
    asked = named[0].rpartition(":")[2].strip("/*")
    near = nearest(asked, _places(gathering))
    if near == asked:
        return f"{start} that were not left out"
    hint = (
        f"did you mean {near!r}?" if near else f"list the keys with: confsync ls -e {gathering.environment}"
    )
    return f"{start} ({printable(hint)})"


def _places(gathering: Gathering) -> set[str]:
    """The keys of the sources that were looked through, and what they lie below."""
    hub, found = gathering.core.hub, set()
    for source in hub.sources:
        view = hub.view(source, gathering.environment, looking=True)
        if (
            gathering.selector.prefixes(source)
            and gathering.policy.closes(source) is None
            and not view.by_request
        ):
            with suppress(SourceError):  # not all of it may be read
                found |= {"/".join(path.split("/")[:depth]) for path in view.paths() for depth in (1, 2, 3)}
    return found
