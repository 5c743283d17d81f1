"""A render's identity: one digest of all its inputs. The same inputs need no render."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from confsync.digest import Hasher
from confsync.errors import SourceError
from confsync.reads import Reads
from confsync.render.recorder import SourceView


def identity(
    spec: str,
    reads: Reads,
    views: Mapping[str, SourceView],
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
        if _differs_at_once(reads, views, hasher):
            return None
        for (source, path), read in reads.keys.items():
            view = views[source].view
            found = view.find(path)
            if found is None:
                return None
            value: str | bytes = found.entry.value
            if view.by_request:
                # By digest: what nobody may fetch just to look is taken to be as it was.
                value = hasher.value(found.entry.value) if found.fetched else read.digest
            parts += (source, path, found.prefix, value)
        for source, path in sorted(reads.missed):
            if views[source].view.find(path) is not None:
                return None
            parts += ("missing", source, path)
        for source, prefix in sorted(reads.listed):
            parts += ("listed", source, prefix, *views[source].view.under(prefix))
    except (SourceError, KeyError):
        return None
    return hasher.parts(*parts)


def _differs_at_once(reads: Reads, views: Mapping[str, SourceView], hasher: Hasher) -> bool:
    """Whether what is known without asking says so already: nothing is to be fetched for a render that is past.

    Only syncs that read a source which is asked key by key are looked at so; for the others it would be work done twice.
    """
    asked = {name for name, source in views.items() if source.view.by_request}
    if not any(read.source in asked for read in reads.keys):
        return False
    for read, known in reads.keys.items():
        found = None if read.source in asked else views[read.source].view.find(read.path)
        if read.source not in asked and (found is None or hasher.value(found.entry.value) != known.digest):
            return True
    return False
