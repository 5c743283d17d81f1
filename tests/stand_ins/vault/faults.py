"""Faults a test injects: a wrong answer, a late one, half of one, or none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stand_ins.common.fault_queue import FaultQueue

from .request_log import full_path


@dataclass
class Fault:
    """What happens to the requests it fits.

    Attributes:
        method, path: which requests; None is any method, the path is a prefix.
        times: how many are hit before the fault is used up; None is all of them.
        delay: seconds before the answer; alone, the answer is the true one.
        status, errors, headers: what is answered instead; the server's state is not touched.
        text: answered as it is, not as JSON.
        cut: the true answer's body ends after so many bytes, and the connection with it.
        drop: the connection is closed without a word.
        processed: with `drop`, whether the server has done what was asked before.
        when: called with method and path, must hold as well.
    """

    method: str | None = None
    path: str = "/"
    times: int | None = 1
    delay: float = 0.0
    status: int | None = None
    errors: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    cut: int | None = None
    drop: bool = False
    processed: bool = False
    when: Callable[[str, str], bool] | None = None
    hits: int = 0

    def fits(self, method: str, path: str) -> bool:
        if self.method not in (None, method) or not path.startswith(full_path(self.path)):
            return False
        return self.when is None or self.when(method, path)


class Faults(FaultQueue[Fault]):
    """The ways in which requests go wrong. Any thread may use it.

    Every method gives the Fault, whose `hits` a test may read. `where` is method, path, times, delay, when.
    """

    def answer(self, status: int, *errors: str, headers: dict[str, str] | None = None, **where: Any) -> Fault:
        return self.add(Fault(status=status, errors=list(errors), headers=headers or {}, **where))

    def rate_limited(self, retry_after: int | None = None, **where: Any) -> Fault:
        """429, as an over-full quota answers."""
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return self.answer(429, 'request path "": rate limit quota exceeded', headers=headers, **where)

    def unavailable(self, **where: Any) -> Fault:
        """503, as a sealed server answers."""
        return self.answer(503, "Vault is sealed", **where)

    def stale(self, **where: Any) -> Fault:
        """412, as a standby that has not yet seen the write named by X-Vault-Index."""
        return self.answer(412, "required index state not present", **where)

    def standby(self, status: int = 473, **where: Any) -> Fault:
        """As sys/health of a performance standby; 429 is that of one which only waits to take over."""
        body = {
            "initialized": True,
            "performance_standby": status == 473,
            "replication_dr_mode": "disabled",
            "replication_performance_mode": "disabled",
            "sealed": False,
            "standby": True,
        }
        return self.add(Fault(status=status, text=json.dumps(body), **{"path": "sys/health", **where}))

    def broken(self, **where: Any) -> Fault:
        """500."""
        return self.answer(500, "1 error occurred:\n\t* internal error\n\n", **where)

    def late(self, seconds: float, **where: Any) -> Fault:
        return self.add(Fault(delay=seconds, **where))

    def cut(self, after: int, **where: Any) -> Fault:
        return self.add(Fault(cut=after, **where))

    def drop(self, *, processed: bool = False, **where: Any) -> Fault:
        return self.add(Fault(drop=True, processed=processed, **where))

    def no_json(self, text: str = "<html>bad gateway</html>", status: int = 200, **where: Any) -> Fault:
        return self.add(Fault(status=status, text=text, **where))

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that hits this request, which uses it up by one."""
        return self.first(lambda fault: fault.fits(method, path))
