"""Why a sync's result differs from the last one: which keys, templates and settings changed. Names, never values."""

from __future__ import annotations

from collections.abc import Iterator

from confsync.reads import KeyRead, PathRead, Reads
from confsync.snapshot import full_key
from confsync.text import revision_text


def reasons(before: Reads | None, after: Reads, *, spec_changed: bool) -> tuple[str, ...]:
    """One phrase for each cause; empty when nothing a render reads has changed."""
    if before is None:
        return ("first time",)
    return (
        *_template_reasons(before, after),
        *_key_reasons(before, after),
        *(("its definition changed",) if spec_changed else ()),
    )


def _template_reasons(before: Reads, after: Reads) -> Iterator[str]:
    for name, digest in after.templates.items():
        if name not in before.templates:
            yield f"template {name} is used now"
        elif before.templates[name] != digest:
            yield f"template {name} changed"


def _key_reasons(before: Reads, after: Reads) -> Iterator[str]:
    for read, now in after.keys.items():
        was = before.keys.get(read)
        if was is None:
            what = "new" if read in before.missed else "read now"
            yield f"{_name(read, now)} is {what}{_at(now)}"
        elif was.prefix != now.prefix:
            # Two prefixes have two keys, whose revisions do not follow each other.
            yield f"{_name(read, was)} is found under {now.prefix or 'the root'} now{_at(now)}"
        elif was.digest != now.digest:
            yield f"{_name(read, now)} changed{_from(was, now)}"
    for read, was in before.keys.items():
        if read not in after.keys:
            what = "is gone" if read in after.missed or after.listed else "is not read any more"
            yield f"{_name(read, was)} {what}{_at(was, 'was ')}"


def _name(read: PathRead, found: KeyRead) -> str:
    return f"{read.source}:{full_key(found.prefix, read.path)}"


def _at(read: KeyRead, was: str = "") -> str:
    """The revision, of what has one: a credential made for us has none."""
    return f" ({was}revision {revision_text(read.revision)})" if read.revision else ""


def _from(was: KeyRead, now: KeyRead) -> str:
    if not now.revision:
        return ""
    return f" (revision {revision_text(was.revision)} → {revision_text(now.revision)})"
