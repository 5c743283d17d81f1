"""Sinks write targets whole or not at all; `sink_for` finds the one for a target.

`base` is the contract; `file` and `directory` fulfil it with `staged_file` and `staged_directory`;
`disk`, `names`, `ownership` and `failures` are what both need.
"""

from __future__ import annotations

from functools import cache

from confsync.config.models import FileTarget
from confsync.sinks.base import Sink
from confsync.sinks.names import locate
from confsync.target import TargetSpec

__all__ = ["sink_for", "target_id"]


def sink_for(spec: TargetSpec) -> Sink:
    """The sink that writes `spec`'s kind; its module is imported only now."""
    return _file_sink() if isinstance(spec, FileTarget) else _directory_sink()


def target_id(spec: TargetSpec) -> str:
    """A target's identity everywhere: `file:/etc/app.conf`. Raises `SinkError` if `path` cannot be one."""
    kind = "file" if isinstance(spec, FileTarget) else "directory"
    return f"{kind}:{locate(kind, spec.path)}"


@cache
def _file_sink() -> Sink:
    from confsync.sinks.file import FileSink

    return FileSink()


@cache
def _directory_sink() -> Sink:
    from confsync.sinks.directory import DirectorySink

    return DirectorySink()
