"""A server that is started, stopped and started again at the same address."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from confsync.testing.ports import reserve_port

from .listener import Listener, TlsFiles


class Listening(ABC):
    """As a context manager: it listens within. What it keeps, connections aside, outlives a restart."""

    def __init__(self, tls: TlsFiles | None) -> None:
        self._tls = tls
        self._port = 0
        self._reservation: int | None = None
        self._listener: Listener | None = None
        self._stopping = threading.Event()

    @abstractmethod
    def _listen(self, port: int) -> Listener:
        """Begin to listen."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._reservation is not None:
            os.close(self._reservation)
            self._reservation = None

    @property
    def address(self) -> str:
        assert self._port, "the server has no address before it was started"
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def open_connections(self) -> int:
        """How many clients it may still do something for, be they there or not."""
        return self._listener.open_connections if self._listener else 0

    def start(self) -> None:
        """Listens, on the port it had before if there was one; nothing when it runs."""
        if self._listener is not None:
            return
        self._stopping.clear()
        if not self._port:
            # None that the kernel gives to others while it does not listen.
            self._port, self._reservation = reserve_port()
        self._listener = self._listen(self._port)
        self._started()

    def stop(self) -> None:
        """Ends every connection and refuses new ones; state is kept. Nothing when it does not run."""
        if self._listener is None:
            return
        self._stopping.set()
        self._stops()
        self._listener.close()
        self._listener = None
        self._stopped()

    def _started(self) -> None:  # noqa: B027 - there may be nothing to do
        """What else begins when it listens."""

    def _stops(self) -> None:  # noqa: B027 - there may be nothing to do
        """What else ends before it stops to listen."""

    def _stopped(self) -> None:  # noqa: B027 - there may be nothing to do
        """What else ends when it does not listen any more."""
