"""A configured source: reads and watches through its backend, and keeps the last good snapshot.

Drivers only read and watch; everything that must be the same for every store is here, once: what to do when the store
is down (keep what is known, say since when), when a watch dies (resume from its revision, or read all again after a
gap), and when suspiciously much vanished at once (hold it until somebody confirms).

Threads: `follow` runs in a thread of its own; everything else may be called from any thread.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from confsync import backoff
from confsync.clock import Clock
from confsync.config.models import MassDelete
from confsync.driver import Backend, Delta, Entry, Grant, Reading, Tree, Watch
from confsync.errors import Gap, Held, SourceError, Unavailable
from confsync.snapshot import Problem, Snapshot, View, full_key
from confsync.source.changes import Event, changed, count_new, differing
from confsync.source.granted import read_as_granted
from confsync.text import plural
from confsync.units import format_duration

log = logging.getLogger(__name__)

_TRUSTED = 600.0  # seconds after which what a watch built up is verified by a full read
_BELIEVED = 60.0  # seconds for which a confirmed mass loss is believed where none is held yet
_SETTLED = 5.0  # seconds after which a watch that opened counts as working again


class Source:
    """One source with its last good snapshot.

    Args:
        name: its name in the configuration.
        backend: the open driver; closed by `close`.
        prefixes: every prefix any environment in use wants.
        guard: when a loss of keys is too much to be believed.
        clock: where the time comes from.
        known: prefix -> how many keys it had when last accepted, from before a restart.
        partial: whether what may be read will do, where not everything may be: for a person, never for what is written.
        notify: called with each `Event`, from the thread that noticed it; must not block.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        prefixes: Sequence[str],
        *,
        guard: MassDelete,
        clock: Clock,
        known: Mapping[str, int] | None = None,
        partial: bool = False,
        notify: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.backend = backend
        self.prefixes = tuple(prefixes)
        self._guard = guard
        self._clock = clock
        self._partial = partial
        self._notify = notify
        self._lock = threading.RLock()
        self._live: dict[str, dict[str, Entry]] | None = None
        self._reading: Reading | None = None
        self._grant: Grant | None = None
        self._snapshot: Snapshot | None = None
        self._accepted = dict(known or {})
        self._gone: dict[str, set[str]] = {}
        self._held: Held | None = None
        self._allowed_until = -math.inf
        self._wake = threading.Event()
        self._error: SourceError | None = None
        self._since: float | None = None
        self._must_read = True
        self._read_at = -math.inf
        self._watch: Watch | None = None
        self._bugs: set[str] = set()
        self._followed = False
        self._stop = threading.Event()

    def snapshot(self) -> Snapshot:
        """The last good snapshot, marked stale while the source cannot be read or is held.

        Raises:
            SourceError: it was never read since this process began.
        """
        with self._lock:
            snapshot = self._current()
            problem = self._held or self._error
            if snapshot is None:
                raise problem or SourceError(f"source {self.name!r} has not been read yet")
            if problem is None:
                return snapshot
            told = Problem(str(problem), self._since, self._held is not None)
            return replace(snapshot, problem=told, _views={})  # the views made so far know of no problem

    def view(self, prefixes: tuple[str, ...]) -> View:
        """The layers `prefixes` of the last good snapshot.

        Raises:
            SourceError: as `snapshot`.
        """
        return self.snapshot().view(prefixes)

    def describe(self) -> str:
        """How it stands, for a line of status."""
        try:
            snapshot = self.snapshot()
        except SourceError:
            return "not read yet"
        problem = snapshot.problem
        if problem is None:
            return f"ok at revision {snapshot.revision}"
        return f"stale for {format_duration(self._clock.now() - (problem.since or self._clock.now()))}: {problem.text}"

    def _current(self) -> Snapshot | None:
        """The snapshot of what is accepted, copied only when something changed since the last one."""
        if (
            self._snapshot is None
            and self._live is not None
            and self._reading is not None
            and self._held is None
        ):
            trees = {prefix: tree.copy() for prefix, tree in self._live.items()}
            revision, now = self._reading.revision, self._clock.now()
            self._snapshot = Snapshot(self.name, revision, trees, now, grant=self._grant)
        return self._snapshot

    def refresh(self) -> None:
        """Read everything again.

        Raises:
            SourceError: it could not be read, or too much vanished (`Held`); the last good snapshot stays.
        """
        try:
            self._read()
        except SourceError as exc:
            self._failed(exc)
            raise
        if self._held is not None:
            raise self._held

    def allow_mass_delete(self) -> None:
        """Believe the mass loss that is held, or, where none is, one in the next minute."""
        with self._lock:
            if self._held is None:
                self._allowed_until = self._clock.monotonic() + _BELIEVED
                return
            self._publish(None)
        self._notify(Event(self.name, None))

    def key_counts(self) -> dict[str, int]:
        """Prefix -> how many keys were last accepted: to be kept over a restart."""
        with self._lock:
            return dict(self._accepted)

    def set_guard(self, guard: MassDelete) -> None:
        """Use other limits from now on: those of a new configuration."""
        with self._lock:
            self._guard = guard
            if self._held is None:
                return
            self._publish({prefix: len(gone) for prefix, gone in self._gone.items()})
            released = self._held is None
        if released:
            self._notify(Event(self.name, None))

    @property
    def held(self) -> bool:
        """Whether a mass loss waits for confirmation."""
        return self._held is not None

    def resync(self) -> None:
        """Have `follow` make sure that what is known is still true: it reads again what is not watched, and now and
        then what is. Does not wait for it.
        """
        if not self._watches:
            self._wake.set()
            return
        with self._lock:
            watch = self._watch
        if watch is not None and self._clock.monotonic() - self._read_at > _TRUSTED:
            watch.close()

    @property
    def answered(self) -> bool:
        """Whether it was read, or has failed, since this process began."""
        return self._live is not None or self._error is not None

    def close(self) -> None:
        """End `follow` and close the backend. Idempotent."""
        self._stop.set()
        self._wake.set()
        with self._lock:
            watch = self._watch
        if watch is not None:
            watch.close()
        self.backend.close()

    def follow(self) -> None:
        """Read, then watch (or read again at each `resync`), until `close`; failures are waited out, for ever."""
        self._followed = True
        failures = 0
        while not self._stop.is_set():
            opened = self._clock.monotonic()
            try:
                self._read_if_needed()
                if self._watches:
                    self._follow_watch()
                else:
                    failures = 0
                    self._wait_for_resync()
                    continue
            except Gap as exc:
                log.info(
                    "watch lost its place; reading everything again",
                    extra={"source": self.name, "reason": str(exc)},
                )
                self._must_read = True
            except SourceError as exc:
                self._watch_failed(exc, failures)
            except Exception as exc:  # noqa: BLE001 - whatever a driver raises
                self._watch_failed(self._bug(exc), failures)
            failures = 1 if self._clock.monotonic() - opened > _SETTLED else failures + 1
            self._stop.wait(backoff.delay(failures))

    @property
    def _watches(self) -> bool:
        """Whether its store tells of changes: not of a part, which is read again at every interval."""
        return self.backend.watches and self._grant is None

    def _read_if_needed(self) -> None:
        if self._must_read or self._error is not None:
            self._read()

    def _read(self) -> None:
        """Read everything and take it as it is; whatever a driver raises comes out as a SourceError."""
        try:
            if self._partial:
                self._accept(read_as_granted(self.backend, self.prefixes))
            else:
                self._accept(self.backend.read(self.prefixes))
        except SourceError:
            raise
        except Exception as exc:
            raise self._bug(exc) from exc

    def _bug(self, error: Exception) -> Unavailable:
        # Whatever a driver gets wrong must not end the only thread that looks at its store. The error's text may hold
        # anything, a value or a password among it: the log has the traceback (once), messages have the type.
        name = type(error).__name__
        if name not in self._bugs and not self._stop.is_set():
            self._bugs.add(name)
            log.error("a bug in a backend: please report it", exc_info=error, extra={"source": self.name})
        return Unavailable(f"the backend failed in a way it should not: {name}", hint="see the log")

    def _wait_for_resync(self) -> None:
        self._wake.wait()
        self._wake.clear()
        self._must_read = True

    def _follow_watch(self) -> None:
        reading, live = self._reading, self._live
        assert reading is not None and live is not None  # noqa: S101, PT018 - a read came first
        with self.backend.watch(self.prefixes, Reading(reading.revision, live, reading.token)) as watch:
            with self._lock:
                self._watch = watch
            if self._stop.is_set():
                return
            for delta in watch:
                self._apply(delta)
        # Closed from outside, to verify: what follows is a full read.
        self._must_read = True

    def _watch_failed(self, error: SourceError, failures: int) -> None:
        # A watch that dies is resumed from its revision. Only when that fails too does a read decide whether the
        # store is down: syncs become stale when it cannot be read, not when a connection was cut.
        if self._stop.is_set():
            return
        if self._error is not None or self._must_read:
            self._failed(error)
            return
        log.info("watch ended; resuming", extra={"source": self.name, "reason": str(error)})
        if failures == 0:
            return
        try:
            self._read()
        except SourceError as exc:
            self._failed(exc)

    def _failed(self, error: SourceError) -> None:
        with self._lock:
            again = self._error is not None and str(self._error) == str(error)
            if self._since is None:
                self._since = self._clock.now()
            self._error = error
        if again:
            return
        # Who reads it once gets the error, and tells it.
        level = logging.WARNING if self._followed else logging.INFO
        log.log(level, "source cannot be read", extra={"source": self.name, "error": str(error)})
        self._notify(Event(self.name, None))

    def _accept(self, reading: Reading) -> None:
        """Take a full reading as the live state, and publish it unless it lost too much."""
        with self._lock:
            old = self._live
            live = {prefix: dict(reading.trees[prefix]) for prefix in self.prefixes}
            changes = None if old is None else {p: changed(old[p], live[p]) for p in self.prefixes}
            recovered = self._error is not None
            lost = {p: self._lost(old, live, p) for p in self.prefixes}
            self._keep_before_hold(lost, live)
            self._live, self._reading, self._error = live, Reading(reading.revision, {}, reading.token), None
            self._grant = reading.grant
            self._must_read, self._read_at = False, self._clock.monotonic()
            was_held = self._held is not None
            self._publish(lost)
        if recovered:
            log.info("source answers again", extra={"source": self.name})
        if recovered or changes is None or was_held != (self._held is not None):
            self._notify(Event(self.name, None))
        elif any(changes.values()) and self._held is None:
            self._notify(Event(self.name, changes))

    def _apply(self, delta: Delta) -> None:
        with self._lock:
            live, reading = self._live, self._reading
            assert live is not None and reading is not None  # noqa: S101, PT018 - a watch follows a read
            deleted = {p: delta.deletes[p] & live[p].keys() for p in delta.deletes}
            for prefix, gone in deleted.items():
                self._gone.setdefault(prefix, set()).update(gone)
            for prefix, puts in delta.puts.items():
                self._gone.get(prefix, set()).difference_update(puts)
            lost = {p: len(gone) for p, gone in self._gone.items()}
            after = {
                p: len(live[p]) - len(deleted.get(p, ())) + count_new(live[p], delta.puts.get(p, {}))
                for p in self.prefixes
            }
            if self._excessive(lost, after) is not None:
                self._current()
            changes = {p: differing(live[p], delta, p) for p in {*delta.puts, *deleted}}
            for prefix, gone in deleted.items():
                for path in gone:
                    del live[prefix][path]
            for prefix, puts in delta.puts.items():
                live[prefix].update(puts)
            self._reading = Reading(delta.revision, {}, reading.token)
            was_held = self._held is not None
            self._publish(lost)
        if was_held != (self._held is not None):
            self._notify(Event(self.name, None))
        elif self._held is None and any(changes.values()):
            self._notify(Event(self.name, changes))

    def _lost(self, old: Mapping[str, Tree] | None, live: Mapping[str, Tree], prefix: str) -> int:
        if old is None:
            return 0
        gone = self._gone.setdefault(prefix, set())
        gone.update(old[prefix].keys() - live[prefix].keys())
        gone.difference_update(live[prefix])
        return len(gone)

    def _keep_before_hold(self, lost: Mapping[str, int], live: Mapping[str, Tree]) -> None:
        """Copy the accepted state while it is still there, when what comes next will be held."""
        if self._excessive(lost, {p: len(tree) for p, tree in live.items()}) is not None:
            self._current()

    def _excessive(self, lost: Mapping[str, int], after: Mapping[str, int]) -> tuple[str, int] | None:
        """The prefix that lost too much, if any, and how much. One left with nothing has always lost too much."""
        for prefix, left in after.items():
            before = self._accepted.get(prefix, 0)
            # What vanished while no process looked is known by its number only; it is missing until it is accepted.
            gone = max(lost.get(prefix, 0), before - left)
            if before > 0 and (left == 0 or self._guard.exceeded(gone, before)):
                return prefix, gone
        return None

    def _publish(self, lost: Mapping[str, int] | None) -> None:
        """Accept the live state, or hold it. `lost` of None accepts whatever is missing."""
        live = self._live
        assert live is not None  # noqa: S101 - only called with a live state
        counts = {prefix: len(tree) for prefix, tree in live.items()}
        excessive = None if lost is None else self._excessive(lost, counts)
        if excessive is not None:
            if self._clock.monotonic() >= self._allowed_until:
                self._hold(*excessive)
                return
            self._allowed_until = -math.inf
        self._held, self._snapshot = None, None
        self._gone.clear()
        # What was accepted of prefixes that are not read now (another environment's) stays known.
        self._accepted |= counts
        if self._error is None:
            self._since = None

    def _hold(self, prefix: str, lost: int) -> None:
        before = self._accepted[prefix]
        where = f"{self.name}:{full_key(prefix, '')}" if prefix else self.name
        error = Held(
            f"{lost} of {plural(before, 'key')} in {where} vanished at once; keeping what was there",
            hint="confirm the loss with: confsync apply --allow-mass-delete",
        )
        if self._held is None:
            self._since = self._since or self._clock.now()
            log.warning("held a mass loss of keys", extra={"source": self.name, "error": str(error)})
        self._held = error
