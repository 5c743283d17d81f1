"""What several environments show of one source, side by side: values, and where there is none, why.

A source that is read as a whole is read once, so that all environments are seen at one revision: all of it, or what
whoever asks may read. What is denied stands for whatever may be below it.
An addressed source is asked for names, and then for each secret that any environment has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from confsync.address import Wanted, parse
from confsync.driver import Grant, Tree
from confsync.errors import Denied, Invalid, SourceError, Unavailable
from confsync.snapshot import full_key
from confsync.source.granted import read_as_granted

if TYPE_CHECKING:
    from confsync.snapshot import View
    from confsync.source.addressed import AddressedSource
    from confsync.source.source import Source

_MOST_LISTED = 10_000


class State(Enum):
    """What an environment has at a path."""

    PRESENT = "present"
    MISSING = "missing"
    DENIED = "denied"
    UNREADABLE = "unreadable"
    UNFETCHED = "unfetched"
    """It is made for whoever fetches it, so that there is nothing to compare."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What one environment shows at a path.

    Attributes:
        value: bytes, or of an addressed source what JSON can say; None where there is none.
        why: why it could not be read, or "".
    """

    state: State
    value: Any = field(default=None, repr=False)
    why: str = ""


MISSING = Shown(State.MISSING)
UNFETCHED = Shown(State.UNFETCHED)

Row = tuple[str, tuple[Shown, ...]]
"""A path, and what each environment shows there, in their order."""


class Unlisted(NamedTuple):
    """A place whose names an environment does not tell: it may have more keys than were compared.

    Attributes:
        environment: its number.
        place: as the store spells it.
    """

    environment: int
    place: str
    why: str


@dataclass(frozen=True, slots=True)
class Looked:
    """What the environments show of a source.

    Attributes:
        rows: sorted by path; every path that some environment has, or may have.
        revision: the one all was read at, or None where each key is asked for on its own.
    """

    rows: Sequence[Row]
    revision: int | None = None
    unlisted: tuple[Unlisted, ...] = ()


# Sources that are read as a whole


class Seen(Protocol):
    """What was read of a source, at one revision: a `Reading`, or a `Snapshot`."""

    @property
    def revision(self) -> int: ...

    @property
    def trees(self) -> Mapping[str, Tree]: ...

    @property
    def grant(self) -> Grant | None: ...


def look_at_all(source: Source, environments: Sequence[Sequence[str]], text: str = "") -> Looked:
    """Read a source once, and see what each environment shows at and below `text`.

    Args:
        environments: the prefixes of each.

    Raises:
        SourceError: it cannot be read, or nothing of it may be.
    """
    prefixes = dict.fromkeys(prefix for one in environments for prefix in one)
    return look_into(read_as_granted(source.backend, list(prefixes)), environments, text)


def look_into(seen: Seen, environments: Sequence[Sequence[str]], text: str = "") -> Looked:
    """See what each environment shows at and below `text` of a source that was read."""
    wanted = text.strip("/")
    prefixes = dict.fromkeys(prefix for one in environments for prefix in one)
    paths = sorted({path for prefix in prefixes for path in _below(seen.trees[prefix], wanted)})
    rows = [(path, tuple(_uppermost(seen, layers, path) for layers in environments)) for path in paths]
    return Looked(rows, seen.revision, tuple(_untold(seen, environments, wanted, dict(rows).get(wanted, ()))))


def _untold(
    seen: Seen, environments: Sequence[Sequence[str]], wanted: str, there: Sequence[Shown]
) -> Iterator[Unlisted]:
    """The places that may have more keys; none where `wanted` is a key itself, which was asked for as one."""
    if seen.grant is None:
        return
    for number, layers in enumerate(environments):
        if there and there[number].state is State.PRESENT:
            continue
        for prefix in layers:
            below = seen.grant.refusal_below(prefix, wanted)
            if below is not None:
                at = seen.grant.refusal(prefix, wanted) if wanted else None
                place = full_key(prefix, wanted) if wanted else prefix
                yield Unlisted(number, place, str(_either(at, below) if at is not None else below))


def _either(at: Denied, below: Denied) -> Denied:
    """That something may not be read, be it a key or what keys lie below."""
    if at.message == below.message:
        return below
    hint = ", or ".join(filter(None, (at.hint, below.hint)))
    return Denied(f"{at.message}, nor all below it", hint=hint or None)


def _below(paths: Iterable[str], wanted: str) -> Iterable[str]:
    """Those at and below `wanted`."""
    if not wanted:
        return paths
    below = f"{wanted}/"
    return (path for path in paths if path == wanted or path.startswith(below))


def _uppermost(seen: Seen, layers: Iterable[str], path: str) -> Shown:
    """What the first layer has that has anything there, or may have."""
    for prefix in layers:
        entry = seen.trees[prefix].get(path)
        if entry is not None:
            return Shown(State.PRESENT, entry.value)
        refusal = seen.grant.refusal(prefix, path) if seen.grant is not None else None
        if refusal is not None:
            return Shown(State.DENIED, why=str(refusal))
    return MISSING


# Sources that are asked for one secret at a time


def look_by_request(source: AddressedSource, environments: Sequence[Sequence[str]], text: str = "") -> Looked:
    """Ask a source for each secret at and below `text` that an environment has: of each secret, its fields.

    Args:
        environments: the prefixes of each.
        text: as an address is spelled; with parameters or a field it is for that alone.

    Raises:
        SourceError: the store does not answer, there are too many secrets, or `text` is no path.
    """
    views = _views(source, environments)
    wanted = parse(views[0].spell(text)) if text.strip("/") else None
    rows = [] if wanted is None else list(_of_secret(views, wanted, set(range(len(views)))))
    if wanted is not None and (wanted.field is not None or wanted.parameters):
        return Looked(rows)
    walk = _Walk([
        _Asked(number, prefix, source.view((prefix,), looking=True))
        for number, prefixes in enumerate(environments)
        for prefix in prefixes
    ])  # fmt: skip
    rows += _of_secrets(source, environments, walk.below("" if wanted is None else str(wanted)))
    return Looked(rows, None, tuple(walk.unlisted))


def _views(source: AddressedSource, environments: Sequence[Sequence[str]]) -> list[View]:
    """What each environment shows; for one thread."""
    return [source.view(tuple(prefixes), looking=True) for prefixes in environments]


class _Asked(NamedTuple):
    """One prefix of one environment, for names."""

    environment: int
    prefix: str
    view: View


class _Walk:
    """Lists what is below a path in every layer at once: where one is denied, the others tell what to ask it for."""

    def __init__(self, layers: Sequence[_Asked]) -> None:
        self._layers = layers
        self.unlisted: list[Unlisted] = []

    def below(self, place: str) -> dict[str, set[int]]:
        """Path of a secret -> the environments that have it, or may."""
        found: dict[str, set[int]] = {}
        left: list[tuple[str, Sequence[_Asked]]] = [(place, self._layers)]
        while left:
            directory, asked = left.pop()
            for name, having in self._names(directory, asked).items():
                path = f"{directory.rstrip('/')}/{name}" if directory else name
                if path.endswith("/"):
                    left.append((path.rstrip("/"), having))
                else:
                    found[path] = {layer.environment for layer in having}
            if len(found) + len(left) > _MOST_LISTED:
                raise Invalid(f"there are more than {_MOST_LISTED} secrets below {place or 'the root'}")
        return found

    def _names(self, directory: str, asked: Sequence[_Asked]) -> dict[str, list[_Asked]]:
        """Name -> the layers that have it, or may."""
        listed: list[tuple[_Asked, Sequence[str]]] = []
        silent: list[_Asked] = []
        for layer in asked:
            try:
                listed.append((layer, layer.view.under(directory)))
            except SourceError as exc:
                _raise_if_down(exc)
                silent.append(layer)
                place = full_key(layer.prefix, directory) if not directory.startswith("/") else directory
                self.unlisted.append(Unlisted(layer.environment, place, str(exc)))
        names: dict[str, list[_Asked]] = {}
        for layer, told in listed:
            for name in told:
                names.setdefault(name, list(silent)).append(layer)
        return names


def _of_secrets(
    source: AddressedSource, environments: Sequence[Sequence[str]], having: Mapping[str, set[int]]
) -> list[Row]:
    """The rows of all these secrets, by path. Several are asked for at once: each answer takes a round trip."""
    from confsync.source.at_once import at_once

    rows: dict[str, list[Row]] = {}
    failed: list[Exception] = []

    def ask(path: str) -> None:
        if failed:
            return
        try:
            rows[path] = list(_of_secret(_views(source, environments), parse(path), having[path]))
        except Exception as exc:  # noqa: BLE001 - raised below, in the thread that asked
            failed.append(exc)

    paths = sorted(having)
    at_once([partial(ask, path) for path in paths])
    if failed:
        raise failed[0]
    return [row for path in paths for row in rows[path]]


def _of_secret(views: Sequence[View], wanted: Wanted, having: set[int]) -> Iterator[Row]:
    """A row for each field of a secret; one for all of it where nobody has fields to show.

    Args:
        having: the environments that may have it.
    """
    whole = wanted._replace(field=None)
    seen = [_asked_for(view, str(whole)) if at in having else MISSING for at, view in enumerate(views)]
    fields = sorted({name for one in seen if one.state is State.PRESENT for name in one.value if name})
    if wanted.field is not None:
        fields = [name for name in fields if name == wanted.field]
    for name in fields:
        yield str(wanted._replace(field=name)), tuple(_field(one, name) for one in seen)
    if not fields and any(one.state is not State.MISSING for one in seen):
        found = seen if wanted.field is None else [_field(one, wanted.field) for one in seen]
        if any(one.state is not State.MISSING for one in found):
            yield str(wanted), tuple(found)


def _asked_for(view: View, path: str) -> Shown:
    try:
        looked = view.look_up(path)
    except SourceError as exc:
        _raise_if_down(exc)
        return Shown(State.DENIED if isinstance(exc, Denied) else State.UNREADABLE, why=str(exc))
    if looked is None:
        return MISSING
    found, value = looked
    return Shown(State.PRESENT, value) if found.fetched else UNFETCHED


def _field(secret: Shown, name: str) -> Shown:
    if secret.state is not State.PRESENT:
        return secret
    values: Mapping[str, Any] = secret.value
    return Shown(State.PRESENT, values[name]) if name in values else MISSING


def _raise_if_down(error: SourceError) -> None:
    """Raise what concerns the store, not one path of it: asking it for the next would only take time."""
    if isinstance(error, Unavailable) and error.key is None:
        raise error
