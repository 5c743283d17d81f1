"""Reloads that are owed: kept in the ledger until they succeed, each run once however many syncs owe it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from confsync.actions import describe, run_reload
from confsync.actions import identity as reload_identity
from confsync.config.actions import Reload
from confsync.errors import ConfsyncError
from confsync.ledger.records import OwedReload
from confsync.reconcile.core import Core
from confsync.reconcile.rollouts import Rollout, is_rollout, roll_out, rollouts_among
from confsync.reconcile.secrets import secrets_of
from confsync.redact import redactor

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
        present = self._reloads_of(debt.sync)
        if debt.identity in present:
            return [debt]
        instead = () if is_rollout(debt.identity) else [one for one in present if not is_rollout(one)]
        fitting = [OwedReload(debt.sync, identity, debt.since) for identity in instead]
        with self._core.ledger.transaction():
            self._core.ledger.settle_reload(debt.sync, debt.identity)
            for one in fitting:
                self._core.ledger.owe_reload(one)
        return fitting

    def _reloads_of(self, name: str) -> dict[str, Reload | Rollout]:
        """Identity -> what a sync may owe."""
        sync = self._core.loaded.config.syncs.get(name)
        if sync is None:
            return {}
        reloads: dict[str, Reload | Rollout] = {reload_identity(reload): reload for reload in sync.reload}
        return reloads | rollouts_among(self._core.ledger.targets(name))

    def run(self) -> list[ReloadResult]:
        """Try everything that is owed, once each."""
        return [
            self._run_one(self._definition(identity, debts), debts) for identity, debts in self.owed().items()
        ]

    def run_one(self, identity: str) -> ReloadResult | None:
        """Try one reload, for all who owe it; None when nobody does."""
        debts = self.owed().get(identity)
        return self._run_one(self._definition(identity, debts), debts) if debts else None

    def _definition(self, identity: str, debts: list[OwedReload]) -> Reload | Rollout:
        return self._reloads_of(debts[0].sync)[identity]

    def _run_one(self, reload: Reload | Rollout, debts: list[OwedReload]) -> ReloadResult:
        ledger = self._core.ledger
        syncs = tuple(debt.sync for debt in debts)
        redact = self._redactor(syncs)
        description = reload.description if isinstance(reload, Rollout) else describe(reload)
        self._core.refuse_unless_writing(description)
        try:
            if isinstance(reload, Rollout):
                roll_out(self._core, reload)
            else:
                run_reload(reload, redact=redact, cancelled=self._cancelled)
        except ConfsyncError as exc:
            with ledger.transaction():
                for debt in debts:
                    ledger.owe_reload(OwedReload(debt.sync, debt.identity, debt.since, redact(str(exc))))
            return ReloadResult(description, syncs, exc)
        with ledger.transaction():
            for debt in debts:
                ledger.settle_reload(debt.sync, debt.identity, debt.since)
                ledger.note(debt.sync, "", "reloaded", description)
        return ReloadResult(description, syncs, None)

    def _redactor(self, syncs: tuple[str, ...]) -> Callable[[str], str]:
        """Hides the sensitive values these syncs read, and what they became in their files.

        It is asked for the command's name before it runs, and for its output after that. Meanwhile the files may have
        been replaced: what was in them at first is hidden, and what is in them in the end.
        """
        at_first = self._hiding(syncs)
        return lambda text: self._hiding(syncs)(at_first(text))

    def _hiding(self, syncs: tuple[str, ...]) -> Callable[[str], str]:
        return redactor(secret for name in syncs for secret in secrets_of(self._core, name))
