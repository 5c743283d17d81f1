"""A sync must not write over what it is made of: with the first apply that would be lost."""

from __future__ import annotations

from confsync.config.references import normal_path
from confsync.reads import Reads
from confsync.reconcile.core import Core
from confsync.source.source import Source


def inputs_of(reads: Reads, core: Core) -> dict[str, str]:
    """The files a render was made of, by path, with what each is: the configuration, a template, a source's file."""
    inputs = {}
    for name in {read.source for read in (*reads.keys, *reads.missed, *reads.listed)}:
        source = core.hub.sources.get(name)
        if isinstance(source, Source):
            inputs[source.backend.address] = f"is the file that source {name!r} reads"
    for name in reads.templates:
        for directory in core.renderer.files.directories:
            inputs[normal_path(f"{directory}/{name}")] = (
                f"is the template {name!r}, which this sync is made from"
            )
    inputs[normal_path(str(core.loaded.path))] = "is the configuration itself"
    return inputs
