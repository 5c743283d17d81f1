"""A render's identity: one digest of all its inputs. The same inputs need no render."""

from __future__ import annotations

from collections.abc import Mapping

from confsync.digest import Hasher
from confsync.errors import SourceError
from confsync.reads import Reads
from confsync.render.library import TemplateFiles
from confsync.render.recorder import SourceView


def identity(
    spec: str, reads: Reads, views: Mapping[str, SourceView], files: TemplateFiles, hasher: Hasher
) -> str | None:
    """The digest of what a render with these `reads` would see now, or None where it cannot be told.

    Values themselves are hashed, not revisions: a store restored from a backup may give old revisions new values.
    """
    if reads.impure:
        return None
    parts: list[str | bytes] = [spec]
    for name in sorted(reads.templates):
        parts += (name, files.digest(name) or "")
    try:
        for source, path in reads.keys:
            found = views[source].view.find(path)
            if found is None:
                return None
            parts += (source, path, found.prefix, found.entry.value)
        for source, path in sorted(reads.missed):
            if views[source].view.find(path) is not None:
                return None
            parts += ("missing", source, path)
        for source, prefix in sorted(reads.listed):
            parts += ("listed", source, prefix, *views[source].view.under(prefix))
    except (SourceError, KeyError):
        return None
    return hasher.parts(*parts)
