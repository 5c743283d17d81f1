"""Faults a test injects: a wrong answer, a late one, half of one, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stand_ins.common.fault_queue import FaultQueue

from . import status
from .answers import Answer
from .request import Call
from .status import Json


@dataclass
class Fault:
    """What happens to the requests it fits.

    Attributes:
        verb, resource, namespace, name: which requests; None is any. The verbs are those of RBAC.
        times: how many are hit before the fault is used up; None is all of them.
        delay: seconds before the answer; alone, the answer is the true one.
        answer: what is answered instead; the server's state is not touched.
        cut: the true answer's body ends after so many bytes, and the connection with it.
        drop: the connection is closed without a word.
        processed: with `drop`, whether the server has done what was asked before.
        when: called with the request, must hold as well.
    """

    verb: str | None = None
    resource: str | None = None
    namespace: str | None = None
    name: str | None = None
    times: int | None = 1
    delay: float = 0.0
    answer: Answer | None = None
    cut: int | None = None
    drop: bool = False
    processed: bool = False
    when: Callable[[Call], bool] | None = None
    hits: int = 0

    def fits(self, call: Call) -> bool:
        target = call.target
        wanted = (
            (self.verb, call.verb),
            (self.resource, target.resource),
            (self.namespace, target.namespace),
            (self.name, target.name),
        )
        if any(ours not in (None, theirs) for ours, theirs in wanted):
            return False
        return self.when is None or self.when(call)


class Faults(FaultQueue[Fault]):
    """The ways in which requests go wrong. Any thread may use it.

    Every method gives the Fault, whose `hits` a test may read. `where` is verb, resource, namespace, name, times,
    delay, when.
    """

    def answer(
        self,
        code: int,
        reason: str | None,
        message: str,
        details: Json | None = None,
        headers: dict[str, str] | None = None,
        **where: Any,
    ) -> Fault:
        """A Status of an error."""
        body = status.status_of(code, reason, message, details)
        return self.add(Fault(answer=Answer(code, body, headers or {}), **where))

    def rate_limited(self, retry_after: int | None = 1, **where: Any) -> Fault:
        """429, as API priority and fairness answers who comes too often."""
        message = "Too many requests, please try again later."
        headers = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        return self.add(Fault(answer=Answer(429, None, headers, text=message + "\n"), **where))

    def throttled(self, retry_after: int = 1, **where: Any) -> Fault:
        """429 as a Status, as storage that is being initialised answers."""
        message = "storage is (re)initializing"
        details = {"retryAfterSeconds": retry_after}
        headers = {"Retry-After": str(retry_after)}
        return self.answer(429, "TooManyRequests", message, details, headers, **where)

    def broken(self, **where: Any) -> Fault:
        """500, as when etcd cannot be reached."""
        message = "Internal error occurred: etcdserver: leader changed"
        causes = [{"message": "etcdserver: leader changed"}]
        return self.answer(500, "InternalError", message, {"causes": causes}, **where)

    def unavailable(self, **where: Any) -> Fault:
        """503, as a load balancer before no server answers."""
        message = "service unavailable"
        return self.add(
            Fault(answer=Answer(503, None, {"Content-Type": "text/plain"}, text=message + "\n"), **where)
        )

    def timed_out(self, **where: Any) -> Fault:
        """504, as a server answers whose etcd is slow."""
        message = "Timeout: request did not complete within requested timeout - context deadline exceeded"
        return self.answer(504, "Timeout", message, {}, **where)

    def conflict(self, name: str, resource: str = "secrets", group: str = "", **where: Any) -> Fault:
        """409: somebody else wrote in between."""
        body = status.modified(group, resource, name).body
        return self.add(Fault(answer=Answer(409, body), name=name, resource=resource, **where))

    def unauthorized(self, **where: Any) -> Fault:
        """401."""
        return self.answer(401, "Unauthorized", "Unauthorized", **where)

    def expired(self, **where: Any) -> Fault:
        """410, instead of a list or a watch."""
        return self.answer(410, "Expired", "The resourceVersion for the provided watch is too old.", **where)

    def late(self, seconds: float, **where: Any) -> Fault:
        return self.add(Fault(delay=seconds, **where))

    def cut(self, after: int, **where: Any) -> Fault:
        return self.add(Fault(cut=after, **where))

    def drop(self, *, processed: bool = False, **where: Any) -> Fault:
        return self.add(Fault(drop=True, processed=processed, **where))

    def no_json(self, text: str = "<html>bad gateway</html>", code: int = 200, **where: Any) -> Fault:
        return self.add(Fault(answer=Answer(code, None, {"Content-Type": "text/html"}, text=text), **where))

    def take(self, call: Call) -> Fault | None:
        """The fault that hits this request, which uses it up by one."""
        return self.first(lambda fault: fault.fits(call))
