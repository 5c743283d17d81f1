"""A sync must not write over what it is made of: with the first apply that would be lost."""

from __future__ import annotations

from confsync.config.models import TargetSpec
from confsync.config.references import normal_path
from confsync.reads import Reads
from confsync.reconcile.core import Core
from confsync.source.source import Source


def input_at(spec: TargetSpec, reads: Reads, core: Core) -> str | None:
    """What a target is for the sync that would write it: the configuration, a template, a source's file; or None."""
    if spec.kind != "file":
        return None
    path = spec.place
    if path == normal_path(str(core.loaded.path)):
        return "is the configuration itself"
    for name in reads.templates:
        if any(path == normal_path(f"{directory}/{name}") for directory in core.renderer.files.directories):
            return f"is the template {name!r}, which this sync is made from"
    for name in sorted({read.source for read in (*reads.keys, *reads.missed, *reads.listed)}):
        source = core.hub.sources.get(name)
        if isinstance(source, Source) and source.backend.address == path:
            return f"is the file that source {name!r} reads"
    return None
