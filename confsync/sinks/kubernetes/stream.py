"""A watch's events, parsed as they come."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from confsync.sinks.kubernetes.failures import Asked, Unreachable
from confsync.sinks.kubernetes.losses import lost
from confsync.sinks.kubernetes.statuses import of_answer

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse


class Stream:
    """A watch's events, each as soon as its line has come: dicts with `type` and `object`.

    One thread iterates; any thread may `close`, which ends the iteration at once. As a context manager it lets go of
    the connection.

    Args:
        asked: what is watched.
        address: the server's, for messages.
        response: the answer, whose body is still to come. Its connection must not be used again.
        on_close: called once, when it ends.
    """

    def __init__(
        self, asked: Asked, address: str, response: BaseHTTPResponse, on_close: Callable[[Stream], None]
    ) -> None:
        self._asked = asked
        self._address = address
        self._response = response
        self._on_close = on_close
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._response.close()

    def close(self) -> None:
        """Ends it; whoever waits for an event sees the end at once. Idempotent."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._on_close(self)
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # it has ended by itself
            self._response.shutdown()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The events until the server ends the watch, or `close`.

        Raises:
            Gone: the past it asked for is forgotten.
            ApiFailure: the connection was lost, nothing was heard for too long, or the server gives up.
        """
        for line in self._lines():
            yield self._event(line)

    def _event(self, line: bytes) -> dict[str, Any]:
        try:
            event = json.loads(line)
            kind, thing = event["type"], event["object"]
        except (ValueError, KeyError, TypeError):
            raise self._half() from None
        if kind != "ERROR":
            return dict(event)
        code = thing.get("code") if isinstance(thing, dict) else None
        raise of_answer(self._asked, code if isinstance(code, int) and code >= 300 else 500, thing)

    def _lines(self) -> Iterator[bytes]:
        parts: list[bytes] = []
        while chunk := self._read():
            first, *others = chunk.split(b"\n")
            parts.append(first)
            for line in others:
                whole = b"".join(parts)
                parts = [line]
                if whole.strip():
                    yield whole
        if b"".join(parts).strip() and not self._closed.is_set():
            raise self._half()

    def _read(self) -> bytes:
        """What has come, at once; nothing at the end."""
        from urllib3.exceptions import HTTPError

        if self._closed.is_set():
            return b""
        try:
            return self._response.read1() or b""
        except (HTTPError, OSError, ValueError, AttributeError) as exc:
            if self._closed.is_set():  # whatever it is: the connection was taken from under the reader
                return b""
            if isinstance(exc, AttributeError):
                raise
            raise lost(self._asked, self._address, exc) from exc

    def _half(self) -> Unreachable:
        return Unreachable(self._asked, f"{self._address}: half an event")
