"""Sinks write targets whole or not at all; `sink_for` finds the one for a target.

`base` is the contract; `file` and `directory` fulfil it with `staged_file` and `staged_directory`;
`disk`, `names`, `ownership` and `failures` are what both need.
"""

from __future__ import annotations

from functools import cache

from confsync.config.models import FileTarget
from confsync.sinks.base import Sink
from confsync.target import TargetSpec

__all__ = ["sink_for"]


def sink_for(spec: TargetSpec) -> Sink:
    """The sink that writes `spec`'s kind; its module is imported only now."""
    return _file_sink() if isinstance(spec, FileTarget) else _directory_sink()


@cache
def _file_sink() -> Sink:
    from confsync.sinks.file import FileSink

    return FileSink()


@cache
def _directory_sink() -> Sink:
    from confsync.sinks.directory import DirectorySink

    return DirectorySink()
