"""Reloads that are owed: kept in the ledger until they succeed, each run once however many syncs owe it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from confsync.actions import describe, run_reload
from confsync.actions import identity as reload_identity
from confsync.config.actions import Reload
from confsync.errors import ConfsyncError, SinkError
from confsync.ledger.records import OwedReload
from confsync.reconcile.core import Core
from confsync.redact import Line, Word, redactor
from confsync.render.literals import secret_lines, secret_words
from confsync.sinks import sink_for
from confsync.target import Content, spec_from_json

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """One reload that was tried.

    Attributes:
        description: what it is, for people.
        syncs: those that owed it.
        error: why it failed, or None.
    """

    description: str
    syncs: tuple[str, ...]
    error: ConfsyncError | None


class Reloads:
    """Runs what is owed. Thread-safe, but one thread at a time runs one identity."""

    def __init__(self, core: Core, cancelled: threading.Event | None = None) -> None:
        self._core = core
        self._cancelled = cancelled

    def owed(self) -> dict[str, list[OwedReload]]:
        """Reload identity -> who owes it, after making the debts fit the present configuration."""
        owed: dict[str, list[OwedReload]] = {}
        for debt in self._core.ledger.owed_reloads():
            for current in self._fitting(debt):
                owed.setdefault(current.identity, []).append(current)
        return owed

    def _fitting(self, debt: OwedReload) -> list[OwedReload]:
        """A debt whose reload was edited is a debt of what the sync's reloads are now; without the sync it is void."""
        sync = self._core.loaded.config.syncs.get(debt.sync)
        present = [reload_identity(reload) for reload in sync.reload] if sync else []
        if debt.identity in present:
            return [debt]
        fitting = [OwedReload(debt.sync, identity, debt.since) for identity in present]
        with self._core.ledger.transaction():
            self._core.ledger.settle_reload(debt.sync, debt.identity)
            for one in fitting:
                self._core.ledger.owe_reload(one)
        return fitting

    def run(self) -> list[ReloadResult]:
        """Try everything that is owed, once each."""
        return [
            self._run_one(self._definition(identity, debts), debts) for identity, debts in self.owed().items()
        ]

    def run_one(self, identity: str) -> ReloadResult | None:
        """Try one reload, for all who owe it; None when nobody does."""
        debts = self.owed().get(identity)
        return self._run_one(self._definition(identity, debts), debts) if debts else None

    def _definition(self, identity: str, debts: list[OwedReload]) -> Reload:
        reloads = self._core.loaded.config.syncs[debts[0].sync].reload
        return next(reload for reload in reloads if reload_identity(reload) == identity)

    def _run_one(self, reload: Reload, debts: list[OwedReload]) -> ReloadResult:
        ledger = self._core.ledger
        syncs = tuple(debt.sync for debt in debts)
        redact = self._redactor(syncs)
        try:
            run_reload(reload, redact=redact, cancelled=self._cancelled)
        except ConfsyncError as exc:
            with ledger.transaction():
                for debt in debts:
                    ledger.owe_reload(OwedReload(debt.sync, debt.identity, debt.since, redact(str(exc))))
            return ReloadResult(describe(reload), syncs, exc)
        with ledger.transaction():
            for debt in debts:
                ledger.settle_reload(debt.sync, debt.identity, debt.since)
                ledger.note(debt.sync, "", "reloaded", describe(reload))
        return ReloadResult(describe(reload), syncs, None)

    def _redactor(self, syncs: tuple[str, ...]) -> Callable[[str], str]:
        """Hides the sensitive values these syncs read, and what they became in their files, as they are now."""
        return redactor(secret for name in syncs for secret in self._secrets(name))

    def _secrets(self, name: str) -> Iterator[str | bytes]:
        record = self._core.ledger.sync(name)
        sync = self._core.loaded.config.syncs.get(name)
        if record is None or sync is None:
            return
        public = []
        for source, path in record.reads.keys:
            public.append(path)
            value = self._value(source, self._core.environment_of(sync), path)
            if (
                sync.sensitive
                or source not in self._core.hub.sources
                or self._core.hub.is_sensitive(source)(path)
            ):
                yield value
            else:
                public.append(value.decode("utf-8", "replace"))
        literals = self._core.renderer.literals(name, sync, record.reads.templates)
        lines = {
            line for content in self._sensitive_contents(name) for line in secret_lines(content, literals)
        }
        yield from map(Line, lines)
        yield from map(Word, secret_words(lines, literals, public))
        # What a line assigns may be shown without the line.
        assigned = {
            part.strip(" \t\"',;") for line in lines for mark in "=:" for part in [line.partition(mark)[2]]
        }
        yield from assigned.difference(public)

    def _sensitive_contents(self, name: str) -> Iterator[Content]:
        """What is in the sensitive targets of a sync, as far as they can be read."""
        for record in self._core.ledger.targets(name).values():
            if not record.sensitive:
                continue
            spec = spec_from_json(record.id, record.spec)
            try:
                yield sink_for(spec).observe(spec).content or b""
            except SinkError:
                continue

    def _value(self, source: str, environment: str | None, path: str) -> bytes:
        """What a key is now; nothing where that cannot be told."""
        if source not in self._core.hub.sources:
            return b""
        try:
            found = self._core.hub.view(source, environment, looking=True).find(path)
        except ConfsyncError:
            return b""
        return found.entry.value if found else b""
