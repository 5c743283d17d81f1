"""Leader election among replicas that share targets: one may write, the others stand by.

The replicas agree by a coordination/v1 Lease, with the rules of client-go's tools/leaderelection:

- who finds no lease creates it; who finds it released, or not changed for as long as it says, takes it over by an
  update with its resourceVersion, which only one can win;
- how long it has not changed is measured by one's own clock from when one saw the change: nobody's word is taken for
  what time it is, and a machine whose clock is wrong takes nothing over too early;
- the leader renews every `retry`; when it has not been able to for `renew` it leads no longer, while the others wait
  for `duration`, which is longer; at an orderly end it releases the lease, and another leads at once.

Four things are stricter here. The leader's time counts from before its renewal was sent, and by a clock that goes on
while the process is stopped or the machine asleep: `leading` turns false by itself, whatever any thread does, so who
asks it before each write does not write late. A lease that was deleted does not make two leaders: who saw it held
waits as if it still were. Every process has an identity of its own, so two replicas that were given the same name are
two. And those who stand by watch the lease, so a release is acted upon in milliseconds.

What no lease can give is fencing at the target: a write that was sent while leading may arrive later. The margin
between `renew` and `duration` is for that.

The `kubernetes` package has a `leaderelection` of its own. It cannot be stopped, never releases the lease, measures in
the wall clock, which jumps, and goes on believing that it leads while a renewal hangs.
"""

from __future__ import annotations

import logging
import math
import queue
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from confsync.clock import Clock
from confsync.config.election import JITTER
from confsync.config.election import Election as Options
from confsync.config.kubernetes import Cluster
from confsync.config.loading import LoadedConfig
from confsync.config.references import DEFAULT_CLUSTER
from confsync.daemon import pod
from confsync.daemon.lease import Record
from confsync.daemon.lease_lock import LeaseLock
from confsync.daemon.lease_watch import LeaseWatch
from confsync.errors import ConfigError
from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.failures import ApiFailure, Conflict, Forbidden, NamespaceTerminating
from confsync.text import did_you_mean

log = logging.getLogger(__name__)

_RULE = 'apiGroups: ["coordination.k8s.io"], resources: [leases], verbs: [get, create, update, watch]'
_NEVER = -math.inf


@dataclass(frozen=True, slots=True)
class _Told:
    """What the watch told: a lease, and whether it is gone."""

    lease: Mapping[str, Any]
    gone: bool


class Election:
    """One replica's part in an election, from `start` to `stop`.

    Args:
        client: for this election alone, so that a renewal never waits behind other requests; closed by `stop`.
        namespace: the Lease's.
        on_gained: called each time this replica has become the leader, when `leading` is true already.
        on_lost: called each time it is the leader no longer, when `leading` is false already. After each `on_gained`
            but the last there is one `on_lost` before the next; also where leadership lapsed only for a moment, in
            which something may have been refused. Both are called from the election's thread, which renews no lease
            meanwhile: they must be quick. Neither is called once `stop` has been.

    Attributes:
        identity: who this process is in the Lease.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        options: Options,
        clock: Clock,
        on_gained: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.identity = pod.identity(options.identity)
        self._client = client
        self._namespace = namespace
        self._options = options
        self._clock = clock
        self._on_gained = on_gained
        self._on_lost = on_lost
        self._lock = LeaseLock(client, namespace, options.lease, int(options.duration))
        self._watch = LeaseWatch(client, namespace, options.lease, options.duration, self._tell_later)
        self._events: queue.SimpleQueue[_Told | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._release_at_end = True
        self._thread = threading.Thread(target=self._run, name="election", daemon=True)
        self._valid_until = _NEVER
        self._lapsed = False
        self._told_to_lead = False
        self._record: Record | None = None  # what the lease said, also where it has been deleted since
        self._seen_at = _NEVER  # when that was seen to change, by our clock
        self._failing: tuple[object, ...] = ()

    @property
    def leading(self) -> bool:
        """Whether this process may write at this moment. Cheap, from any thread: to be asked before each write."""
        return not self._stopping.is_set() and self._clock.monotonic() < self._valid_until

    @property
    def holder(self) -> str:
        """Who leads, as far as was last seen; "" where nobody does or nothing is known."""
        record = self._record
        return record.holder if record is not None else ""

    def start(self) -> None:
        """Begin to stand for leadership, in a thread. Once only."""
        self._thread.start()

    def stop(self, *, release: bool = True, within: float = 5.0) -> None:
        """End: lead no more, hand over, and close the client. Idempotent.

        Args:
            release: whether another may lead at once; to be False where something that was begun while leading may
                still be writing, so that the others wait for `duration`.
            within: the longest to wait for that, in seconds.
        """
        self._release_at_end = release
        self._stopping.set()
        self._watch.stop()
        self._events.put(None)
        if self._thread.is_alive():
            self._thread.join(within)
        self._client.close()

    # The thread

    def _run(self) -> None:
        due = self._clock.monotonic()
        while not self._stopping.is_set():
            try:
                due = self._turn(due, self._next(due))
            except Exception:
                log.exception("a bug: please report it", extra={"item": "election"})
                due = self._clock.monotonic() + self._options.retry
        self._watch.stop()
        if self._release_at_end:
            self._release()

    def _next(self, due: float) -> _Told | None:
        """What the watch tells next; None when it is time to look, or to end."""
        try:
            return self._events.get(timeout=max(0.0, due - self._clock.monotonic()))
        except queue.Empty:
            return None

    def _tell_later(self, lease: Mapping[str, Any], gone: bool) -> None:
        self._events.put(_Told(lease, gone))

    def _turn(self, due: float, told: _Told | None) -> float:
        """Act upon one event, or look; gives the time of the next look."""
        self._say()
        if self._stopping.is_set() or (told is not None and not self._is_news(told)):
            return due
        if told is not None:
            self._see(self._lock.see(None if told.gone else told.lease))
        if told is None or self._is_free():
            self._try()
            self._say()
        return self._clock.monotonic() + self._pause()

    def _is_news(self, told: _Told) -> bool:
        """What we wrote ourselves is known; what was read meanwhile may be newer than what the watch tells."""
        return not self._is_mine() and self._lock.is_newer(told.lease)

    def _pause(self) -> float:
        """Seconds until the next look, or renewal."""
        now = self._clock.monotonic()
        pause = self._options.retry * random.uniform(1, JITTER)  # noqa: S311 - not a secret
        if self._is_mine():
            return min(pause, self._valid_until - now) if self._valid_until > now else pause
        if self._watch.alive and not self._failing:
            pause *= 2  # the leader is heard of more often than that; where it is not, one looks oneself
        expires_in = self._expiry() - now
        return min(pause, expires_in) if expires_in > 0 else pause

    # Telling the daemon

    def _say(self) -> None:
        """Call back where something has changed."""
        if self._stopping.is_set():
            return
        if self._told_to_lead and (self._lapsed or not self.leading):
            self._told_to_lead = False
            log.warning("no longer the leader; nothing is written", extra=self._facts())
            self._on_lost()
        self._lapsed = False
        if not self._told_to_lead and self.leading:
            self._told_to_lead = True
            log.info("this replica leads", extra=self._facts())
            self._on_gained()

    def _facts(self) -> dict[str, str]:
        return {"lease": str(self._lock), "holder": self.holder}

    def _worked(self) -> None:
        if self._failing:
            self._failing = ()
            log.info("the election works again", extra=self._facts())

    def _failed(self, failure: ApiFailure) -> None:
        """Said once, and again only when something else fails."""
        kind = (type(failure), failure.status, failure.asked.verb)
        if kind == self._failing:
            return
        self._failing = kind
        facts = {"error": str(failure)}
        if isinstance(failure, Forbidden) and not isinstance(failure, NamespaceTerminating):
            facts["needed"] = f"{_RULE} in namespace {self._namespace}"
        log.error("the election fails; it is tried again for ever", extra=facts)

    # The lease

    def _try(self) -> None:
        """Renew the lease, or take it where it is free, or see who has it."""
        try:
            self._renew_or_take()
        except ApiFailure as failure:
            if not self._stopping.is_set():
                self._failed(failure)
        else:
            self._worked()
        if self._stopping.is_set() or self._is_mine():
            self._watch.stop()
        else:
            self._watch.start()

    def _renew_or_take(self) -> None:
        if self._is_mine() and self._lock.there:
            try:
                return self._renew()
            except ApiFailure as failure:
                if not failure.status:
                    raise
                # Somebody touched it, which is 409, or deleted it, which is 500; look.
        self._see(self._lock.look())
        try:
            if self._is_mine():
                self._renew()
            elif self._is_free():
                self._take()
        except Conflict:
            self._see(self._lock.look())  # somebody was first
        return None

    def _is_mine(self) -> bool:
        return self._record is not None and self._record.holder == self.identity

    def _is_free(self) -> bool:
        record = self._record
        return record is None or not record.holder or self._clock.monotonic() >= self._expiry()

    def _expiry(self) -> float:
        """When the lease, as it was last seen, may be taken from its holder."""
        return self._seen_at + self._record.seconds if self._record is not None else _NEVER

    def _see(self, record: Record | None) -> None:
        """Take note of what the lease says. One that is gone is still held by who held it, until that expires."""
        if record is None:
            return
        if record.holder != self.identity:
            self._valid_until = _NEVER
        if record == self._record:
            return
        before = self.holder
        self._seen_at, self._record = self._clock.monotonic(), record  # in this order, for who looks on
        if record.holder not in ("", before, self.identity):
            log.info("standing by", extra=self._facts())

    def _renew(self) -> None:
        assert self._record is not None  # noqa: S101 - it is ours
        self._write(self._record.renewed_at(self._clock.now()))

    def _take(self) -> None:
        seconds = int(self._options.duration)
        before = self._record or Record(
            "", seconds, "", "", transitions=-1
        )  # the first holder is no transition
        self._write(before.taken_at(self._clock.now(), self.identity, seconds))

    def _write(self, record: Record) -> None:
        """Write that the lease is ours; only when that has succeeded do we lead, counted from before it was sent."""
        sent = self._clock.monotonic()
        self._see(self._lock.write(record))
        if not self._is_mine():
            return  # something on the way has changed what was written
        if self._told_to_lead and self._clock.monotonic() >= self._valid_until:
            self._lapsed = True
        self._valid_until = sent + self._options.renew

    def _release(self) -> None:
        """Let another lead at once. `leading` is false already."""
        try:
            for _ in range(2):
                if not self._is_mine() or not self._lock.there or self._given_up():
                    return
        except ApiFailure as failure:
            log.warning(
                "the lease is not released: another leads when it has expired", extra={"error": str(failure)}
            )

    def _given_up(self) -> bool:
        """Whether the lease could be released; if not, it is known now whose it is."""
        assert self._record is not None  # noqa: S101 - it is ours
        try:
            self._lock.write(self._record.released_at(self._clock.now()))
        except Conflict:  # a renewal whose answer was lost, or somebody's note on it
            self._see(self._lock.look())
            return False
        log.info("the lease is released", extra=self._facts())
        return True


def open_election(
    options: Options,
    loaded: LoadedConfig,
    clock: Clock,
    on_gained: Callable[[], None],
    on_lost: Callable[[], None],
) -> Election:
    """The election a configuration wants, not yet started; no I/O on any cluster.

    Raises:
        ConfigError: the client library is not installed, there is no such cluster, or no namespace is known.
    """
    if find_spec("kubernetes") is None:
        raise ConfigError(
            "leader election needs the Python package 'kubernetes'", hint="pip install 'confsync[kubernetes]'"
        )
    name, cluster = _cluster(options, loaded)
    # As client-go's: a request that hangs leaves time for another before leadership is over.
    impatient = cluster.model_copy(update={"timeout": min(cluster.timeout, options.renew / 2)})
    client = Client(name, impatient, loaded.base, clock=clock)
    namespace = options.namespace or pod.namespace()
    return Election(client, namespace, options, clock, on_gained, on_lost)


def _cluster(options: Options, loaded: LoadedConfig) -> tuple[str, Cluster]:
    clusters = loaded.config.clusters or {DEFAULT_CLUSTER: Cluster()}
    name = options.cluster or (next(iter(clusters)) if len(clusters) == 1 else DEFAULT_CLUSTER)
    if name not in clusters:
        raise ConfigError(
            f"there is no cluster {name!r}{did_you_mean(name, clusters)}",
            where=loaded.where(("election",)),
            hint="say which one: election: {cluster: NAME}",
        )
    return name, clusters[name]
