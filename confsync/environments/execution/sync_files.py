"""The targets of syncs as files for a command, whatever they are elsewhere: SYNC/NAME.

NAME is a file target's last name; of a directory, a Secret or a ConfigMap there is a file for each key. Where two are
called alike, each has as much of its path before it as it takes to tell them apart: `a/app.conf`, `b/app.conf`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from confsync.config.models import OnDisk, Sync
from confsync.environments.execution.scratch import File
from confsync.environments.policy import Policy
from confsync.environments.variables import Withheld
from confsync.errors import ConfigError, ConfsyncError, HeldBack, RenderError
from confsync.reads import Reads
from confsync.reconcile.core import Core
from confsync.render.renderer import RenderFailed, Rendering
from confsync.render.source_view import SourceView
from confsync.target import Desired
from confsync.text import did_you_mean, printable


@dataclass(frozen=True, slots=True)
class SyncFiles:
    """What some syncs have rendered to.

    Attributes:
        files: SYNC/NAME and what is in it.
        reads: what each render read.
        held_back: the entries of data maps that do not come down.
    """

    files: tuple[File, ...]
    reads: tuple[Reads, ...]
    held_back: tuple[Withheld, ...] = ()


def files_of(core: Core, policy: Policy, names: Sequence[str]) -> SyncFiles:
    """Render these syncs as they would be under the policy's environment, with what it lets down.

    What is made when it is fetched (a credential) is made. Of a data map the entries that are held back are left out.

    Raises:
        ConfigError: there is no such sync.
        ConfsyncError: some cannot be rendered, a line for each: a key is missing, denied or held back, a source down.
    """
    syncs = core.loaded.config.syncs
    for name in names:
        if name not in syncs:
            raise ConfigError(f"there is no sync {name!r}{did_you_mean(name, syncs)}")
    sources = policy.sources(core, looking=False)
    files: list[File] = []
    reads: list[Reads] = []
    held_back: list[Withheld] = []
    problems: list[str] = []
    for name in dict.fromkeys(names):
        try:
            rendering, withheld = _rendered(core, policy, name, syncs[name], sources)
            held_back += withheld
            files += _files(name, rendering)
            reads.append(rendering.reads)
        except RenderFailed as exc:
            problems.append(f"sync {name}: {exc.error}")
        except RenderError as exc:
            problems.append(f"sync {name}: {exc}")
    if problems:
        raise ConfsyncError("\n".join(problems))
    return SyncFiles(tuple(files), tuple(reads), tuple(held_back))


def _rendered(
    core: Core, policy: Policy, name: str, sync: Sync, sources: Mapping[str, SourceView]
) -> tuple[Rendering, Sequence[Withheld]]:
    """A sync rendered with what comes down of its data map, and what of that does not."""
    limits = core.limits_of(sync)
    try:
        return core.renderer.render(name, sync, limits, sources, {}), ()
    except RenderFailed as exc:
        if not isinstance(exc.error, HeldBack) or sync.data is None or sync.for_each is not None:
            raise
    kept, withheld = {}, []
    for entry, said in sync.data.items():
        try:
            core.renderer.entry(name, sync, entry, limits, sources)
            kept[entry] = said
        except RenderFailed as exc:
            if not isinstance(exc.error, HeldBack):
                raise
            key = f"{name}.{entry} ({printable(exc.error.key or '')})"
            withheld.append(Withheld(key, exc.error.rule, policy.place(exc.error.rule)))
    rest = sync.model_copy(update={"data": kept})
    return core.renderer.render(name, rest, limits, sources, {}), withheld


@dataclass(frozen=True, slots=True)
class _Part:
    """One file of a sync.

    Attributes:
        place: where its target is elsewhere, from the root to its own name.
    """

    place: tuple[str, ...]
    content: bytes = field(repr=False)
    executable: bool


def _files(sync: str, rendering: Rendering) -> Iterator[File]:
    parts = [part for desired in rendering.desired for part in _parts(desired)]
    for part, tail in zip(parts, _tails([part.place for part in parts]), strict=True):
        yield File("/".join((sync, *tail)), part.content, part.executable)


def _parts(desired: Desired) -> Iterator[_Part]:
    spec, content = desired.spec, desired.content
    place = tuple(name for name in spec.place.split("/") if name)
    executable = isinstance(spec, OnDisk) and spec.mode is not None and bool(spec.mode & 0o111)
    if isinstance(content, bytes):
        yield _Part(_safe(place), content, executable)
        return
    for key, value in content.items():
        yield _Part(_safe((*place, key)), value, executable)


def _safe(place: tuple[str, ...]) -> tuple[str, ...]:
    """`place`, of which every part names something in the part before it. Raises `RenderError`: one does not."""
    for name in place:
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise RenderError(f"{printable(name)!r} cannot be the name of a file")
    return place


def _tails(places: Sequence[tuple[str, ...]]) -> Sequence[tuple[str, ...]]:
    """Of each place as many parts from its end as it takes to tell it from the others.

    Raises:
        RenderError: that cannot be: one would be a file and the directory of another.
    """
    lengths = [1] * len(places)
    while True:
        tails = [place[-length:] for place, length in zip(places, lengths, strict=True)]
        alike = _more_than_once(tails)
        longer = [
            length + (tail in alike and length < len(place))
            for place, tail, length in zip(places, tails, lengths, strict=True)
        ]
        if longer == lengths:
            break
        lengths = longer
    inner = {tail[:depth] for tail in tails for depth in range(1, len(tail))}
    wrong = next((tail for tail in tails if tail in alike or tail in inner), None)
    if wrong is not None:
        raise RenderError(f"two of its targets would be one file: {printable('/'.join(wrong))}")
    return tails


def _more_than_once(tails: Iterable[tuple[str, ...]]) -> set[tuple[str, ...]]:
    return {tail for tail, count in Counter(tails).items() if count > 1}
