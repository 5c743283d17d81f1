"""Requests to one cluster's API server.

The library's generated calls are not used, only its credentials and its pool of connections. They build a model of
every object, which for a list of thousands costs hundreds of megabytes and most of the time; they know nothing of
server-side apply's answers; `informer` and `watch` retry every 5 seconds, cannot be stopped while they read, and
hide how they are.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

from confsync import __version__, backoff
from confsync.clock import Clock, SystemClock
from confsync.config.kubernetes import Cluster
from confsync.errors import ConfigError
from confsync.sinks.kubernetes import failures
from confsync.sinks.kubernetes.credentials import Credentials
from confsync.sinks.kubernetes.failures import (
    ApiFailure,
    Asked,
    Conflict,
    Refused,
    Unauthorized,
    Unreachable,
)
from confsync.sinks.kubernetes.rate import TokenBucket
from confsync.sinks.kubernetes.resources import Resource

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

log = logging.getLogger(__name__)

_TRIES = 5
_LONGEST_PAUSE = 30.0
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What the server answered to a request it carried out.

    Attributes:
        status: 200, or 201 where something was created.
        body: the object or list, as parsed.
    """

    status: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Session:
    manager: PoolManager
    address: str
    number: int


class Client:
    """Speaks to one cluster. Any thread may use it; no I/O before the first request.

    Args:
        name: the cluster's, in `clusters`; for messages.
        options: how to log in, and how fast to ask.
        base: the directory of the configuration; a relative `kubeconfig` starts there.
        clock: what deadlines are measured with.
        wait: waits for so many seconds; gives True where that was cut short because all is over.
        credentials: how to log in, instead of by `options`.
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
        self._credentials = credentials or Credentials(name, options, base)
        self._bucket = TokenBucket(options.requests_per_second, options.burst, self._clock, self._wait)
        self._lock = threading.Lock()
        self._session: _Session | None = None
        self._streams: set[Stream] = set()

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
    ) -> Answer:
        """Asks for something, again where that is safe and may help.

        Args:
            body: sent as JSON; None sends none.
            retry: whether to ask again after a failure that may pass.

        Raises:
            ApiFailure: it was not done; see there.
        """
        verb = _VERBS[method] if name is not None or method != "GET" else "list"
        asked = Asked(self.name, verb, resource, namespace, name)
        path = _path(asked, query)
        content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {"Accept": accept} | ({"Content-Type": content_type} if content is not None else {})
        deadline = self._clock.monotonic() + 3 * self._timeout
        for failed in range(1, _TRIES + 1):
            if not self._bucket.take():
                raise self._over(asked)
            try:
                return self._once(asked, method, path, content, headers)
            except ApiFailure as failure:
                if not retry or failed == _TRIES or not _may_repeat(method, failure):
                    raise
                pause = _pause(failed, failure)
                if self._clock.monotonic() + pause > deadline:
                    raise
            if self._wait(pause):
                raise self._over(asked)
        raise AssertionError("the last try returns or raises")

    def stream(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
        read_timeout: float,
    ) -> Stream:
        """Begins a watch; `watch=true` is added to the query.

        Args:
            read_timeout: seconds of silence after which the connection is given up.

        Returns:
            A context manager, which is also the iterator of events.

        Raises:
            ApiFailure: it could not begin.
        """
        asked = Asked(self.name, "watch", resource, namespace)
        path = _path(asked, {"watch": "true", **(query or {})})
        session = self._login(asked)
        headers = self._headers({"Accept": "application/json"})
        response = self._send(asked, session, "GET", path, None, headers, read_timeout, preload=False)
        if response.status == 401:
            response.close()
            self._renew(asked, session)
            session = self._login(asked)
            headers = self._headers({"Accept": "application/json"})
            response = self._send(asked, session, "GET", path, None, headers, read_timeout, preload=False)
        if response.status != 200:
            failure = failures.of_answer(
                asked, response.status, _parsed(response.data), _retry_after(response)
            )
            response.close()
            raise failure
        stream = Stream(asked, session.address, response, self._streams)
        if self._closed.is_set():
            stream.close()
        return stream

    def close(self) -> None:
        """Ends whatever waits or reads, and forbids more. Idempotent."""
        self._closed.set()
        for stream in list(self._streams):
            stream.close()
        with self._lock:
            if self._session is not None:
                self._session.manager.clear()

    def _once(
        self, asked: Asked, method: str, path: str, content: bytes | None, headers: dict[str, str]
    ) -> Answer:
        session = self._login(asked)
        response = self._send(asked, session, method, path, content, self._headers(headers), self._timeout)
        if response.status == 401:
            self._renew(asked, session)
            session = self._login(asked)
            response = self._send(
                asked, session, method, path, content, self._headers(headers), self._timeout
            )
        parsed = _parsed(response.data)
        if response.status >= 300:
            raise failures.of_answer(asked, response.status, parsed, _retry_after(response))
        if not isinstance(parsed, dict):
            raise Unreachable(
                asked, f"half an answer, or none of an API server, from {session.address}", status=0
            )
        return Answer(response.status, parsed)

    def _send(
        self,
        asked: Asked,
        session: _Session,
        method: str,
        path: str,
        content: bytes | None,
        headers: dict[str, str],
        read_timeout: float,
        *,
        preload: bool = True,
    ) -> BaseHTTPResponse:
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        if self._closed.is_set():
            raise self._over(asked)
        timeout = Timeout(connect=self._timeout, read=read_timeout)
        try:
            return session.manager.urlopen(
                method,
                session.address + path,
                body=content,
                headers=headers,
                redirect=False,
                retries=False,
                timeout=timeout,
                preload_content=preload,
            )
        except (HTTPError, OSError) as exc:
            raise Unreachable(asked, f"no answer from {session.address}: {type(exc).__name__}") from exc

    def _login(self, asked: Asked) -> _Session:
        with self._lock:
            if self._session is None:
                self._session = self._session_of(asked, 1)
            return self._session

    def _renew(self, asked: Asked, refused: _Session) -> None:
        """Reads the credentials again, unless another thread just did."""
        with self._lock:
            if self._session is not refused:
                return
            try:
                self._credentials.reload()
            except ConfigError as exc:
                raise Unauthorized(asked, exc.message, hint=exc.hint) from exc
            self._session = self._session_of(asked, refused.number + 1)

    def _session_of(self, asked: Asked, number: int) -> _Session:
        try:
            configuration = self._credentials.configuration()
        except ConfigError as exc:
            raise Unauthorized(asked, exc.message, hint=exc.hint) from exc
        from kubernetes.client.rest import RESTClientObject

        return _Session(RESTClientObject(configuration).pool_manager, configuration.host.rstrip("/"), number)

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        headers = {"User-Agent": f"confsync/{__version__}", **more}
        authorization = self._credentials.authorization()
        if authorization:
            headers["Authorization"] = authorization
        return headers

    def _over(self, asked: Asked) -> Unreachable:
        return Unreachable(asked, "confsync is stopping")


class Stream:
    """A watch's events, each as soon as its line has come: dicts with `type` and `object`.

    One thread iterates; any thread may `close`, which ends the iteration at once.
    """

    def __init__(
        self, asked: Asked, address: str, response: BaseHTTPResponse, open_ones: set[Stream]
    ) -> None:
        self._asked = asked
        self._address = address
        self._response = response
        self._closed = threading.Event()
        self._open_ones = open_ones
        open_ones.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._response.close()

    def close(self) -> None:
        """Ends it; idempotent."""
        self._closed.set()
        self._open_ones.discard(self)
        try:
            self._response.shutdown()
        except (OSError, ValueError, RuntimeError):  # it has ended already
            return

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The events until the server ends the watch, or `close`.

        Raises:
            Gone: the past it asked for is forgotten.
            ApiFailure: the connection was lost, or the server says something else.
        """
        for line in self._lines():
            event = _parsed(line)
            if not isinstance(event, dict):
                raise Unreachable(self._asked, f"half an event from {self._address}")
            if event.get("type") == "ERROR":
                status = event.get("object")
                code = status.get("code") if isinstance(status, dict) else None
                raise failures.of_answer(self._asked, code if isinstance(code, int) else 500, status)
            yield event

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        while chunk := self._read():
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line for line in lines if line.strip())
        if rest.strip() and not self._closed.is_set():
            raise Unreachable(self._asked, f"half an event from {self._address}")

    def _read(self) -> bytes:
        from urllib3.exceptions import HTTPError

        if self._closed.is_set():
            return b""
        try:
            return self._response.read1() or b""
        except (HTTPError, OSError, ValueError) as exc:
            if self._closed.is_set():
                return b""
            raise Unreachable(
                self._asked, f"the connection to {self._address} was lost: {type(exc).__name__}"
            ) from exc


def _path(asked: Asked, query: Mapping[str, str] | None) -> str:
    try:
        path = asked.resource.path(asked.namespace, asked.name)
    except ValueError as exc:
        raise Refused(asked, str(exc)) from None
    return f"{path}?{urlencode(query)}" if query else path


def _may_repeat(method: str, failure: ApiFailure) -> bool:
    if failure.status == 429:
        return True
    if isinstance(failure, Unreachable):
        return method != "POST"
    return isinstance(failure, Conflict) and method == "PATCH" and not failure.causes


def _pause(failed: int, failure: ApiFailure) -> float:
    wanted = failure.retry_after if failure.retry_after is not None else backoff.delay(failed)
    return min(wanted, _LONGEST_PAUSE)


def _retry_after(response: BaseHTTPResponse) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None


def _parsed(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return None
