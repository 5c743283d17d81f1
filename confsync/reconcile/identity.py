"""A render's identity: one digest of all its inputs. The same inputs need no render."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from confsync.digest import Hasher
from confsync.errors import SourceError
from confsync.reads import Reads
from confsync.render.source_view import SourceView

Views = Mapping[str, SourceView]


class _Different(Exception):
    """A key is not what it was: there is nothing to compare."""


def identity(
    spec: str,
    reads: Reads,
    views: Views,
    templates: Mapping[str, str],
    targets: Iterable[str],
    hasher: Hasher,
) -> str | None:
    """The digest of what a render with these `reads` would see now, or None where it cannot be told.

    Args:
        templates: the digest of each template: as it was when it was rendered, or as it is now, to compare.
        targets: the ids of the targets it makes: one that went to another sync makes a difference too.

    Values themselves are hashed, not revisions: a store restored from a backup may give old revisions new values.
    """
    if reads.impure:
        return None
    parts: list[str | bytes] = [spec, *sorted(targets)]
    for name in sorted(reads.templates):
        parts += ("template", name, templates[name])
    try:
        _refuse_past_renders(reads, views, hasher)
        parts += _keys(reads, views, hasher)
        parts += _absences_and_listings(reads, views)
    except (SourceError, KeyError, _Different):
        return None
    return hasher.parts(*parts)


def _keys(reads: Reads, views: Views, hasher: Hasher) -> Iterator[str | bytes]:
    for (source, path), read in reads.keys.items():
        view = views[source].view
        found = view.find(path)
        if found is None:
            raise _Different
        value: str | bytes = found.entry.value
        if view.by_request:
            # By digest: what nobody may fetch just to look is taken to be as it was.
            value = hasher.value(found.entry.value) if found.fetched else read.digest
        yield from (source, path, found.prefix, value)


def _absences_and_listings(reads: Reads, views: Views) -> Iterator[str]:
    for source, path in sorted(reads.missed):
        if views[source].view.find(path) is not None:
            raise _Different
        yield from ("missing", source, path)
    for source, prefix in sorted(reads.listed):
        yield from ("listed", source, prefix, *views[source].view.under(prefix))


def _refuse_past_renders(reads: Reads, views: Views, hasher: Hasher) -> None:
    """Raise `_Different` where that shows without asking anybody: nothing is fetched for a render that is past.

    Only syncs that read a source which is asked key by key are looked at so; others would be looked at twice.
    """
    asked = {name for name, source in views.items() if source.view.by_request}
    if not any(read.source in asked for read in reads.keys):
        return
    for read, known in reads.keys.items():
        if read.source in asked:
            continue
        found = views[read.source].view.find(read.path)
        if found is None or hasher.value(found.entry.value) != known.digest:
            raise _Different
