"""Requests to one cluster's API server.

Of the client library (37) only the credentials and the pool of connections are used, not its generated calls. Their
exceptions print the server's whole answer, which may quote a Secret, and its `informer` logs them. They make a model
of every object: 1.6 times the CPU of a request here, 2.4 times the memory of a list as parsed. What is asked again is
urllib3's choice: three times without a pause, but no status, and no PATCH that was sent. `informer` lists again every
5 seconds whatever failed, `leaderelection` sleeps between its tries and releases nothing.

What is asked again, and when, is said in `retries`: five tries at most, within three times the cluster's `timeout`.
Beside that a 401 has the credentials read afresh, once. After a server could not be reached, each request is tried
once until one is answered: what is down must not hold up those who wait in line.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from confsync import __version__
from confsync.clock import Clock, SystemClock
from confsync.config.kubernetes import Cluster
from confsync.errors import ConfigError
from confsync.sinks.kubernetes.connections import Connections, Exchange
from confsync.sinks.kubernetes.credentials import Credentials
from confsync.sinks.kubernetes.failures import (
    ApiFailure,
    Asked,
    Refused,
    Unauthorized,
    Unreachable,
)
from confsync.sinks.kubernetes.login import Login
from confsync.sinks.kubernetes.losses import lost
from confsync.sinks.kubernetes.rate import TokenBucket
from confsync.sinks.kubernetes.resources import Resource
from confsync.sinks.kubernetes.retries import TRIES, Retries
from confsync.sinks.kubernetes.statuses import of_answer
from confsync.sinks.kubernetes.stream import Stream

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["Answer", "Client", "Stream"]

log = logging.getLogger(__name__)

_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_VERBS_OF_ALL = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_CONDITION = b'"resourceVersion":'
"""As a member of a JSON object; within a text its quotes are escaped."""
_AGENT = f"confsync/{__version__}"
_REMEMBERED = 1.0
"""Seconds for which nothing is asked of a server that let us wait in vain."""


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What the server answered to a request it carried out.

    Attributes:
        status: 200, or 201 where something was created.
        body: the object or list, as parsed.
    """

    status: int
    body: dict[str, Any]


class Client:
    """Speaks to one cluster. Any thread may use it; no I/O before the first request.

    Args:
        name: the cluster's, in `clusters`; for messages.
        options: how to log in, and how fast to ask.
        base: the directory of the configuration; a relative `kubeconfig` starts there.
        clock: what deadlines are measured with.
        wait: waits for so many seconds; gives True where that was cut short because all is over.
        credentials: how to log in, where it is not by `options`.
    """

    def __init__(
        self,
        name: str,
        options: Cluster,
        base: Path,
        *,
        clock: Clock | None = None,
        wait: Callable[[float], bool] | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self.name = name
        self._timeout = options.timeout
        self._clock = clock or SystemClock()
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        credentials = credentials or Credentials(name, options, base, clock=self._clock)
        self._login = Login(credentials, self._clock)
        self._bucket = TokenBucket(options.requests_per_second, options.burst, self._clock, self._wait)
        self._streams: set[Stream] = set()
        self._heard = 0.0  # when something was answered last
        self._down: Unreachable | None = None  # why nothing is answered
        self._down_at = 0.0

    def request(
        self,
        method: str,
        resource: Resource,
        namespace: str | None = None,
        name: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        retry: bool = True,
        timeout: float | None = None,
    ) -> Answer:
        """Asks for something, again where that is safe and may help.

        Args:
            body: sent as JSON; bytes are sent as they are, None sends nothing.
            retry: whether to ask again after a failure that may pass: see `retries`.
            timeout: seconds one try may take; None is the cluster's.

        Raises:
            ApiFailure: it was not done, or nobody knows; see there.
        """
        verb = (_VERBS_OF_ALL if name is None else _VERBS)[method]
        asked = Asked(self.name, verb, resource, namespace, name)
        headers = {"Accept": accept, "User-Agent": _AGENT}
        content = _content(body)
        if content is not None:
            headers["Content-Type"] = content_type
        one_try = timeout or self._timeout
        exchange = Exchange(method, _path(asked, query), content, headers, one_try)
        if retry:
            self._refuse_while_silent(asked)
        tries = TRIES if retry and self._down is None else 1
        final = content is not None and _CONDITION in content
        retries = Retries(method, tries, patient=retry, final=final, within=3 * one_try, clock=self._clock)
        return self._tried(asked, exchange, retries)

    def stream(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
        read_timeout: float,
    ) -> Stream:
        """Begins a watch, in one try; `watch=true` is added to the query. It is no request the rate limit counts.

        Args:
            read_timeout: seconds of silence after which the connection is given up.

        Returns:
            A context manager, which is also the iterable of events.

        Raises:
            ApiFailure: it could not begin.
        """
        asked = Asked(self.name, "watch", resource, namespace)
        path = _path(asked, {"watch": "true", **(query or {})})
        # Its end is the connection's end too: a `close` that comes late must not hit another request.
        headers = {"Accept": "application/json", "User-Agent": _AGENT, "Connection": "close"}
        connections, response = self._answered(
            asked, Exchange("GET", path, None, headers, read_timeout, whole=False)
        )
        if response.status != 200:
            raise self._failure(asked, connections, response)
        stream = Stream(asked, connections.address, response, self._streams.discard)
        self._streams.add(stream)
        if self._closed.is_set():
            stream.close()
        return stream

    def close(self) -> None:
        """Ends whatever waits, asks or reads, and forbids more. Idempotent.

        Only who is about to connect is not stopped: that ends by itself within 10 seconds.
        """
        self._closed.set()
        for stream in list(self._streams):
            stream.close()
        connections = self._login.opened
        if connections is not None:
            connections.hang_up()
            connections.close()

    def _tried(self, asked: Asked, exchange: Exchange, retries: Retries) -> Answer:
        while True:
            if not self._bucket.take():
                raise self._over(asked)
            begun = self._clock.monotonic()
            try:
                return self._once(asked, exchange)
            except ApiFailure as failure:
                pause = retries.pause(failure)
                if pause is None:
                    self._note_loss(failure, begun)
                    raise
                facts = {
                    "cluster": self.name,
                    "asked": str(asked),
                    "why": failure.why,
                    "pause": round(pause, 3),
                }
                log.debug("asking again", extra=facts)
            if self._wait(pause):
                raise self._over(asked)

    def _refuse_while_silent(self, asked: Asked) -> None:
        """Fail as a request did a moment ago that waited in vain: else a thousand would each wait as long."""
        down = self._down
        if down is not None and down.silent and self._clock.monotonic() - self._down_at < _REMEMBERED:
            again = Unreachable(asked, down.why, hint=down.hint)
            again.sent = False
            raise again

    def _note_loss(self, failure: ApiFailure, begun: float) -> None:
        """A request failed for good, whose last try had begun then; what was answered since speaks for the server."""
        if not isinstance(failure, Unreachable) or failure.status != 0:
            return
        if not failure.silent or self._heard <= begun:
            self._down, self._down_at = failure, self._clock.monotonic()

    def _once(self, asked: Asked, exchange: Exchange) -> Answer:
        connections, response = self._answered(asked, exchange)
        if response.status >= 300:
            raise self._failure(asked, connections, response)
        parsed = _parsed(response.data)
        if not isinstance(parsed, dict):
            raise Unreachable(asked, f"{connections.address}: half an answer, or not one of an API server")
        return Answer(response.status, parsed)

    def _answered(self, asked: Asked, exchange: Exchange) -> tuple[Connections, BaseHTTPResponse]:
        """An answer of whatever status; where the credentials are no good, the one to newly read ones."""
        try:
            return self._answered_with(asked, exchange)
        except ConfigError as exc:
            why = exc.message.removeprefix(f"cluster {self.name!r}: ")
            raise Unauthorized(asked, why, hint=exc.hint) from exc

    def _answered_with(self, asked: Asked, exchange: Exchange) -> tuple[Connections, BaseHTTPResponse]:
        connections = self._login.connections()
        try:
            response = self._sent(asked, connections, exchange)
        except Unreachable as failure:  # certificates in temporary files go when somebody tidies up
            if not failure.files_gone or not self._login.renew(connections):
                raise
        else:
            if response.status != 401 or not self._login.renew(connections):
                return connections, response
            response.close()
        connections = self._login.connections()
        return connections, self._sent(asked, connections, exchange)

    def _sent(self, asked: Asked, connections: Connections, exchange: Exchange) -> BaseHTTPResponse:
        from urllib3.exceptions import HTTPError

        if self._closed.is_set():
            raise self._over(asked)
        try:
            response = connections.send(exchange, self._login.authorization())
        except (HTTPError, OSError) as exc:
            if self._closed.is_set():
                raise self._over(asked) from exc
            raise lost(asked, connections.address, exc) from exc
        self._down, self._heard = None, self._clock.monotonic()
        return response

    def _failure(self, asked: Asked, connections: Connections, response: BaseHTTPResponse) -> ApiFailure:
        from urllib3.exceptions import HTTPError

        try:
            content = response.data
        except HTTPError as exc:
            raise lost(asked, connections.address, exc) from exc
        finally:
            response.close()
        failure = of_answer(asked, response.status, _parsed(content), self._retry_after(response), content)
        if isinstance(failure, Unauthorized):
            failure.hint = f"they come from {self._login.origin}"
        return failure

    def _retry_after(self, response: BaseHTTPResponse) -> float | None:
        """Seconds; the header has them, or a date (RFC 9110, 10.2.3)."""
        value = response.headers.get("Retry-After", "").strip()
        if not value:
            return None
        if value.isascii() and value.isdigit():
            return float(value[:9])
        try:
            then = parsedate_to_datetime(value)
        except ValueError:
            return None
        return max(0.0, then.replace(tzinfo=then.tzinfo or UTC).timestamp() - self._clock.now())

    def _over(self, asked: Asked) -> Unreachable:
        failure = Unreachable(asked, "confsync is stopping")
        failure.passing = False
        return failure


def _content(body: Any) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return json.dumps(body, separators=(",", ":")).encode()


def _path(asked: Asked, query: Mapping[str, str] | None) -> str:
    try:
        path = asked.resource.path(asked.namespace, asked.name)
    except ValueError as exc:
        raise Refused(asked, str(exc)) from None
    return f"{path}?{urlencode(query)}" if query else path


def _parsed(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return None
