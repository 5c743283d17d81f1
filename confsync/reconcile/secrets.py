"""What must not be seen of a sync at this moment: the sensitive values it reads, and what its sensitive targets hold.

A render knows what it made of its secrets. What is in the targets besides, an older value or somebody's own, is known
to nobody: there every line and word is hidden that neither a template nor a value that is no secret has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from confsync.config.models import Sync
from confsync.errors import ConfsyncError, SinkError
from confsync.reads import Reads
from confsync.reconcile.core import Core
from confsync.redact import Line, Word
from confsync.render.literals import secret_lines, secret_words
from confsync.render.recorder import leaves_of
from confsync.snapshot import Found
from confsync.target import Content, TargetSpec, spec_from_json


def secrets_of(core: Core, name: str) -> Iterator[str | bytes]:
    """The sensitive values that a sync read last, as they are now, and what is in its sensitive targets."""
    record, sync = core.ledger.sync(name), core.loaded.config.syncs.get(name)
    if record is None or sync is None:
        return
    yield from _values(core, sync, record.reads)
    targets = core.ledger.targets(name).values()
    specs = [spec_from_json(target.id, target.spec) for target in targets if target.sensitive]
    yield from secrets_in(core, name, sync, record.reads, specs)


def secrets_in(
    core: Core, name: str, sync: Sync, reads: Reads, specs: Iterable[TargetSpec]
) -> Iterator[str | bytes]:
    """What these targets of a sync have that is no template's and not public: lines, words, what a line assigns."""
    contents = [content for spec in specs for content in _contents(core, spec)]
    if not contents:
        return
    literals = core.renderer.literals(name, sync, reads.templates)
    lines = {line for content in contents for line in secret_lines(content, literals)}
    public = {*_public(core, sync, reads)}
    yield from map(Line, lines)
    yield from map(Word, secret_words(lines, literals, public))
    # What a line assigns may be shown without the line.
    parts = chain.from_iterable((line.partition("=")[2], line.partition(":")[2]) for line in lines)
    yield from {part.strip(" \t\"',;") for part in parts} - public


def _contents(core: Core, spec: TargetSpec) -> Iterator[Content]:
    try:
        content = core.sinks.of(spec).observe(spec).content
    except SinkError:
        return
    if content is not None:
        yield content


def _values(core: Core, sync: Sync, reads: Reads) -> Iterator[str | bytes]:
    for source, path in reads.keys:
        if _is_sensitive(core, sync, source, path):
            looked = _look_up(core, sync, source, path)
            if looked is not None:
                yield looked[0].entry.value
                yield from leaves_of(looked[1])  # of a secret that was read as a whole, each field


def _public(core: Core, sync: Sync, reads: Reads) -> Iterator[str]:
    """The names of what a sync reads, and the values that are no secrets."""
    for source, path in reads.keys:
        yield path
        if not _is_sensitive(core, sync, source, path):
            yield _value(core, sync, source, path).decode("utf-8", "replace")


def _is_sensitive(core: Core, sync: Sync, source: str, path: str) -> bool:
    return sync.sensitive or source not in core.hub.sources or core.hub.is_sensitive(source)(path)


def _value(core: Core, sync: Sync, source: str, path: str) -> bytes:
    """What a key is now; nothing where that cannot be told."""
    looked = _look_up(core, sync, source, path)
    return looked[0].entry.value if looked is not None else b""


def _look_up(core: Core, sync: Sync, source: str, path: str) -> tuple[Found, Any] | None:
    if source not in core.hub.sources:
        return None
    try:
        return core.hub.view(source, core.environment_of(sync), looking=True).look_up(path)
    except ConfsyncError:
        return None
