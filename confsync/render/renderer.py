"""One sync's render: views of its sources in, every target's desired content out, with all that was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from confsync.clock import Clock
from confsync.config.models import Limits, Sync
from confsync.digest import Hasher
from confsync.errors import (
    ConfsyncError,
    LimitExceeded,
    MissingKeys,
    RenderError,
    SourceError,
    WrongValues,
)
from confsync.reads import KeyRead, PathRead, Reads
from confsync.redact import Line, Word
from confsync.render.budget import Budget, limited
from confsync.render.failures import explain, without_secrets
from confsync.render.job import Job, templates_of
from confsync.render.library import TemplateFiles
from confsync.render.literals import Literals, secret_lines, secret_words
from confsync.render.recorder import Recorder, recording
from confsync.render.source_view import SourceView
from confsync.render.templates import Templates
from confsync.target import Desired

_Made = TypeVar("_Made")

_PASSES = 100
"""Renders of one sync, each of which found ciphertexts that the one before could not see; far beyond any real use."""


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
    secrets: frozenset[str | bytes] = field(repr=False)
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
        credentials: variables of the process that no template is given.
    """

    def __init__(
        self,
        files: TemplateFiles,
        base: Path,
        hasher: Hasher,
        clock: Clock,
        bytecode: Path | None = None,
        credentials: frozenset[str] = frozenset(),
    ) -> None:
        self._credentials = credentials
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
            RenderFailed: wraps a `MissingKeys`, `WrongValues`, `LimitExceeded` or other `RenderError`.
        """
        return self._decrypting(
            name,
            sources,
            before,
            lambda recorder: self._rendered(name, sync, limits, sources, before, recorder),
        )

    def entry(
        self, name: str, sync: Sync, entry: str, limits: Limits, sources: Mapping[str, SourceView]
    ) -> tuple[bytes, bool]:
        """One entry of the data map of the sync `name`, and whether it is sensitive; nothing else is looked at.

        Raises:
            RenderFailed: as `render` has it.
        """

        def made(recorder: Recorder) -> tuple[bytes, bool]:
            job = Job(self._templates, self._base, name, sync, sources, recorder)
            content = self._recorded(name, job, limits, {}, recorder, partial(job.entry, entry))
            return content, recorder.sensitive

        return self._decrypting(name, sources, {}, made)

    def _decrypting(
        self,
        name: str,
        sources: Mapping[str, SourceView],
        before: Mapping[PathRead, KeyRead],
        render: Callable[[Recorder], _Made],
    ) -> _Made:
        """What `render` gives once all is decrypted that it needs."""
        undecryptable: dict[tuple[str, str, str], str] = {}
        for _ in range(_PASSES):
            recorder = Recorder(undecryptable=undecryptable, credentials=self._credentials)
            try:
                made = render(recorder)
            except RenderFailed:
                if not recorder.encrypted:
                    raise
            if not recorder.encrypted:
                return made
            try:
                undecryptable |= _decrypt(recorder, sources)
            except SourceError as exc:
                raise RenderFailed(exc, recorder.reads(self._hasher, self._clock.now(), before)) from exc
        error = LimitExceeded("what is decrypted depends on what is decrypted, without end", where=name)
        raise RenderFailed(error, recorder.reads(self._hasher, self._clock.now(), before))

    def _rendered(
        self,
        name: str,
        sync: Sync,
        limits: Limits,
        sources: Mapping[str, SourceView],
        before: Mapping[PathRead, KeyRead],
        recorder: Recorder,
    ) -> Rendering:
        job = Job(self._templates, self._base, name, sync, sources, recorder)
        desired = self._recorded(name, job, limits, before, recorder, lambda budget: tuple(job.run(budget)))
        reads = recorder.reads(self._hasher, self._clock.now(), before)
        literals = Literals(job.templates())
        hidden = {line for one in desired if one.sensitive for line in secret_lines(one.content, literals)}
        words = (
            secret_words(hidden, literals, recorder.public(sources, values=not sync.sensitive))
            if hidden
            else ()
        )
        secrets = {*recorder.secrets, *recorder.suspects, *map(Line, hidden), *map(Word, words)}
        return Rendering(desired, reads, frozenset(secrets), literals)

    def _recorded(
        self,
        name: str,
        job: Job,
        limits: Limits,
        before: Mapping[PathRead, KeyRead],
        recorder: Recorder,
        run: Callable[[Budget], _Made],
    ) -> _Made:
        """What `run` gives within the limits, where nothing that it reads keeps it from being used."""
        with recording(recorder), limited(Budget(limits, self._clock)) as budget:
            try:
                made = run(budget)
                bad_keys = recorder.bad_keys.error(recorder.found)
                if bad_keys is not None:
                    raise bad_keys
            except Exception as exc:
                explained = explain(exc, name, recorder, self.files, job.names())
                error: ConfsyncError = recorder.bad_keys.error(recorder.found) or explained
                error = _unforeseen(without_secrets(error, recorder), recorder)
                raise RenderFailed(error, recorder.reads(self._hasher, self._clock.now(), before)) from exc
        return made

    def literals(self, name: str, sync: Sync, used: Iterable[str]) -> Sequence[str]:
        """The texts of a sync's templates, of the files `used` too: what of its targets is certainly no secret."""
        recorder = Recorder(templates=dict.fromkeys(used, "as it is now"))
        return Literals(Job(self._templates, self._base, name, sync, {}, recorder).templates())

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


def _decrypt(recorder: Recorder, sources: Mapping[str, SourceView]) -> dict[tuple[str, str, str], str]:
    """Decrypt what a render has found encrypted, one request for each key.

    Returns:
        Why some cannot be decrypted, by source, key and ciphertext.

    Raises:
        SourceError: a store cannot be asked.
    """
    failed: dict[tuple[str, str, str], str] = {}
    for (source, key), ciphertexts in recorder.encrypted.items():
        texts = list(ciphertexts | recorder.guessed.pop((source, key), {}))
        told = sources[source].view.decrypt(key, texts)
        failed |= {
            (source, key, ciphertext): str(plain)
            for ciphertext, plain in zip(texts, told, strict=True)
            if isinstance(plain, SourceError) and ciphertext in ciphertexts
        }
    for (source, key), guesses in recorder.guessed.items():
        with suppress(SourceError):  # there may be no such key: the next render tells
            sources[source].view.decrypt(key, list(guesses))
    return failed


def _unforeseen(error: ConfsyncError, recorder: Recorder) -> ConfsyncError:
    """`error`, or what caused it: that a render which only looks has no values of what it may not fetch."""
    if not recorder.unfetched or isinstance(error, SourceError | MissingKeys | WrongValues):
        return error
    return RenderError(
        f"the result cannot be foreseen: the template works with {recorder.unfetched[0]}, which only apply fetches"
    )
