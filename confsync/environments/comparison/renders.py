"""One sync rendered under several environments, and how what it makes differs.

Of what depends on a sensitive value only what the templates say themselves is shown, as in a plan. Stricter than
there, lines of which nothing may be shown count as one with the line they follow: how many lines a secret has depends
on it. What is the same on both sides is masked as well.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from confsync.plan.alignment import Alignment
from confsync.plan.diff import LARGEST, Mask, text_lines
from confsync.redact import DOTS
from confsync.render.renderer import RenderFailed
from confsync.target import Content, Desired, target_id
from confsync.text import printable

if TYPE_CHECKING:
    from confsync.reconcile.core import Core
    from confsync.render.source_view import SourceView


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a sync makes under one environment.

    Attributes:
        targets: empty where it cannot be rendered.
        literals: what the templates say themselves.
        unfetched: what it reads that only apply fetches: placeholders stand in its place.
        error: why it cannot be rendered, or "". No sensitive value is in it.
        revisions: source -> the revision it was read at, of those that have one.
    """

    environment: str
    targets: tuple[Desired, ...] = ()
    literals: Sequence[str] = ()
    unfetched: tuple[str, ...] = ()
    error: str = ""
    revisions: Mapping[str, int] = field(default_factory=dict)


def render_under(core: Core, name: str, environment: str) -> Rendered:
    """Render a sync as if `environment` were its own. The sources have to be read; nothing is fetched that is made."""
    sync = core.loaded.config.syncs[name]
    views = core.views(environment, looking=True)
    revisions = {
        source: one.view.snapshot.revision
        for source, one in views.items()
        if not one.view.by_request and one.view.snapshot.source
    }
    try:
        rendering = core.renderer.render(name, sync, core.limits_of(sync), views, {})
    except RenderFailed as exc:
        return Rendered(environment, error=str(exc.error), revisions=revisions)
    unfetched = tuple(_unfetched(rendering.reads.keys, views))
    return Rendered(environment, rendering.desired, rendering.literals, unfetched, revisions=revisions)


def _unfetched(reads: Iterable[tuple[str, str]], views: Mapping[str, SourceView]) -> Iterator[str]:
    for source, path in sorted(reads):
        view = views[source].view
        found = view.find(path) if view.by_request else None
        if found is not None and not found.fetched:
            yield f"{source}:{path}"


class Line(NamedTuple):
    """A line of one side or of both, each as it may be shown.

    Attributes:
        sign: " " where they are the same, "~" where one replaces the other, "-" and "+" where only one has it, "@"
            for a heading.
    """

    sign: str
    left: str = ""
    right: str = ""


@dataclass(frozen=True, slots=True)
class ComparedTarget:
    """One target under two environments.

    Attributes:
        left, right: its id under each, or None where that has none like it.
        same: whether its content is, and its place.
        lines: all of both sides; empty where they are the same.
    """

    left: str | None
    right: str | None
    sensitive: bool
    same: bool
    lines: tuple[Line, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ComparedPair:
    """What a sync makes under two environments, target by target."""

    left: str
    right: str
    targets: tuple[ComparedTarget, ...]

    @property
    def differ(self) -> bool:
        """Whether a target is not the same, or elsewhere."""
        return not all(target.same for target in self.targets)


@dataclass(frozen=True, slots=True)
class ComparedRenders:
    """One sync under several environments: each against the first that it can be rendered under."""

    sync: str
    rendered: tuple[Rendered, ...]
    pairs: tuple[ComparedPair, ...]

    @property
    def differ(self) -> bool:
        """Whether it makes something else somewhere."""
        return any(pair.differ for pair in self.pairs)

    @property
    def incomplete(self) -> bool:
        """Whether it cannot be rendered somewhere."""
        return any(one.error for one in self.rendered)


def compare_renders(sync: str, rendered: Sequence[Rendered]) -> ComparedRenders:
    """Set what a sync makes under each environment against what it makes under the first."""
    good = [one for one in rendered if not one.error]
    return ComparedRenders(sync, tuple(rendered), tuple(_pair(good[0], other) for other in good[1:]))


def _pair(left: Rendered, right: Rendered) -> ComparedPair:
    literals = [*left.literals, *right.literals]
    targets = (_compared(one, other, literals) for one, other in _pairs(left.targets, right.targets))
    return ComparedPair(left.environment, right.environment, tuple(targets))


def _compared(one: Desired | None, other: Desired | None, literals: Sequence[str]) -> ComparedTarget:
    places = [target_id(side.spec) if side else None for side in (one, other)]
    contents = [side.content if side else None for side in (one, other)]
    sensitive = any(side.sensitive for side in (one, other) if side)
    same = one is not None and other is not None and one.content == other.content
    mask = Mask(literals) if sensitive else None
    lines = () if same else tuple(_lines(contents[0], contents[1], mask))
    return ComparedTarget(places[0], places[1], sensitive, same and places[0] == places[1], lines)


_Pair = tuple[Desired | None, Desired | None]


def _pairs(left: Sequence[Desired], right: Sequence[Desired]) -> Iterator[_Pair]:
    """Which target is which: by its place, else by its name where its directory differs."""
    if len(left) == len(right) == 1:
        yield left[0], right[0]
        return
    others = {target_id(one.spec): one for one in right}
    matched = {place for one in left if (place := target_id(one.spec)) in others}
    by_name = _by_name(one for one in right if target_id(one.spec) not in matched)
    ours = _by_name(one for one in left if target_id(one.spec) not in matched)
    for one in left:
        place, name = target_id(one.spec), _name(one)
        if place in matched:
            yield one, others.pop(place)
        elif name in by_name and ours.get(name) is one:
            yield one, others.pop(target_id(by_name[name].spec))
        else:
            yield one, None
    yield from ((None, one) for one in others.values())


def _name(one: Desired) -> tuple[str, str]:
    return one.spec.kind, posixpath.basename(one.spec.place)


def _by_name(targets: Iterable[Desired]) -> dict[tuple[str, str], Desired]:
    """Those whose name no other has."""
    found: dict[tuple[str, str], list[Desired]] = {}
    for one in targets:
        found.setdefault(_name(one), []).append(one)
    return {name: same[0] for name, same in found.items() if len(same) == 1}


def _lines(left: Content | None, right: Content | None, mask: Mask | None) -> Iterator[Line]:
    if not isinstance(left, Mapping) and not isinstance(right, Mapping):
        yield from _of_file(left, right, mask)
        return
    ours = left if isinstance(left, Mapping) else {}
    theirs = right if isinstance(right, Mapping) else {}
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            yield Line("@", printable(name), printable(name))
            yield from _of_file(ours.get(name), theirs.get(name), mask)


def compare_texts(left: bytes, right: bytes) -> list[Line]:
    """All lines of two texts that are no secrets."""
    return list(_of_file(left, right, None))


def _of_file(left: bytes | None, right: bytes | None, mask: Mask | None) -> Iterator[Line]:
    if len(left or b"") + len(right or b"") > LARGEST:
        yield Line("@", "(too large to compare line by line)", "")
        return
    ours, theirs = text_lines(left), text_lines(right)
    if ours is None or theirs is None:
        yield Line("@", "(not text)", "")
        return
    yield from _aligned(_parts(ours, mask), _parts(theirs, mask))


class _Part(NamedTuple):
    """A line as it may be shown, and all that stands for: what makes it the same or another."""

    shown: str
    raw: tuple[str, ...]


def _parts(lines: Iterable[str], mask: Mask | None) -> list[_Part]:
    if mask is None:
        return [_Part(printable(line), (line,)) for line in lines]
    parts: list[_Part] = []
    for line in lines:
        shown = printable(mask.line(line))
        # A blank line may be one of a secret's, too.
        if shown in (DOTS, "") and parts and parts[-1].shown.endswith(DOTS):
            parts[-1] = _Part(parts[-1].shown, (*parts[-1].raw, line))
        else:
            parts.append(_Part(shown, (line,)))
    return parts


def _aligned(left: Sequence[_Part], right: Sequence[_Part]) -> Iterator[Line]:
    for kind, i, j, k, n in Alignment(left, right).get_opcodes():
        ours, theirs = [one.shown for one in left[i:j]], [one.shown for one in right[k:n]]
        if kind == "equal":
            yield from (Line(" ", one, one) for one in ours)
            continue
        both = min(len(ours), len(theirs))
        yield from (Line("~", one, other) for one, other in zip(ours, theirs, strict=False))
        yield from (Line("-", one) for one in ours[both:])
        yield from (Line("+", "", one) for one in theirs[both:])
