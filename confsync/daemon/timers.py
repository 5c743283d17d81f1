"""Timers, all in APScheduler, and all a timer does is enqueue."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

_JITTER = 0.1  # of the interval: a fleet that started together drifts apart


class Timers:
    """Calls `resync(interval)` once every interval, give or take a tenth."""

    def __init__(self, resync: Callable[[float], None]) -> None:
        self._resync = resync
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "misfire_grace_time": None},
        )

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def set_intervals(self, intervals: Iterable[float]) -> None:
        """Replace what is timed; an interval that stays keeps its rhythm."""
        wanted = {str(interval): interval for interval in intervals}
        for job in self._scheduler.get_jobs():
            if job.id not in wanted:
                job.remove()
            else:
                del wanted[job.id]
        for name, seconds in wanted.items():
            trigger = IntervalTrigger(seconds=seconds, jitter=seconds * _JITTER, timezone="UTC")
            self._scheduler.add_job(self._resync, trigger, args=[seconds], id=name)

    def stop(self) -> None:
        """End; does not wait for a job that runs."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
