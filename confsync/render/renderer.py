"""One sync's render: views of its sources in, every target's desired content out, with all that was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from confsync.clock import Clock
from confsync.config.models import Limits, Sync
from confsync.digest import Hasher
from confsync.errors import ConfsyncError, MissingKeys
from confsync.reads import KeyRead, PathRead, Reads
from confsync.redact import Line
from confsync.render.budget import Budget, limited
from confsync.render.failures import explain, without_secrets
from confsync.render.job import Job, templates_of
from confsync.render.library import TemplateFiles
from confsync.render.literals import Literals, secret_lines
from confsync.render.recorder import Recorder, SourceView, recording
from confsync.render.templates import Templates
from confsync.target import Desired


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a sync wants.

    Attributes:
        desired: its targets, in the order they are written; empty where `for_each` has no items.
        reads: everything it depended on.
        secrets: the sensitive values, and the lines of sensitive files, to keep them out of messages; never stored.
        literals: the template text it was made with: what of its output is certainly no secret. Read when asked for.
    """

    desired: tuple[Desired, ...]
    reads: Reads
    secrets: frozenset[str | bytes]
    literals: Sequence[str]


class RenderFailed(Exception):
    """A render that failed, with what it had read by then: a change of that may mend it."""

    def __init__(self, error: ConfsyncError, reads: Reads) -> None:
        super().__init__(str(error))
        self.error = error
        self.reads = reads


class Renderer:
    """Renders syncs. Thread-safe; holds compiled templates, no values.

    Args:
        files: where template files come from.
        base: what relative target paths are relative to.
        bytecode: directory for compiled templates, or None.
    """

    def __init__(
        self, files: TemplateFiles, base: Path, hasher: Hasher, clock: Clock, bytecode: Path | None = None
    ) -> None:
        self.files = files
        self._base = str(base)
        self._hasher = hasher
        self._clock = clock
        self._templates = Templates(files, bytecode)

    def render(
        self,
        name: str,
        sync: Sync,
        limits: Limits,
        sources: Mapping[str, SourceView],
        before: Mapping[PathRead, KeyRead],
    ) -> Rendering:
        """Render the sync `name`.

        Args:
            before: the keys its last render read.

        Raises:
            RenderFailed: wraps a `MissingKeys`, `LimitExceeded` or other `RenderError`.
        """
        recorder = Recorder()
        job = Job(self._templates, self._base, name, sync, sources, recorder)
        with recording(recorder), limited(Budget(limits, self._clock)) as budget:
            try:
                desired = tuple(job.run(budget))
                if recorder.missing:
                    raise MissingKeys(list(recorder.missing.values()))
            except Exception as exc:
                error: ConfsyncError = explain(exc, name, recorder, self.files, job.names())
                if recorder.missing:
                    error = MissingKeys(list(recorder.missing.values()))
                error = without_secrets(error, recorder)
                raise RenderFailed(error, recorder.reads(self._hasher, self._clock.now(), before)) from exc
        reads = recorder.reads(self._hasher, self._clock.now(), before)
        literals = Literals(job.templates())
        lines = (
            Line(line) for one in desired if one.sensitive for line in secret_lines(one.content, literals)
        )
        return Rendering(desired, reads, frozenset({*recorder.secrets, *recorder.suspects, *lines}), literals)

    def check_syntax(self, sync_name: str, sync: Sync) -> Iterable[ConfsyncError]:
        """Everything wrong with a sync's templates that shows without any value."""
        recorder = Recorder()
        for label, spec in templates_of(sync_name, sync):
            try:
                if isinstance(spec, str):
                    self._templates.named(spec)
                else:
                    self._templates.compiled(spec.inline, label)
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is explained
                yield explain(exc, label, recorder, self.files, ())
