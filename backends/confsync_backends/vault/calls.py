"""One HTTP call to Vault, and its answer. No retry, no sleep, no login: `session.py` and the core do that."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from confsync.errors import Denied, Invalid, Unavailable
from confsync.text import printable
from confsync_backends.vault.options import VaultOptions
from confsync_backends.vault.reply import Raw, Reply, read_reply
from confsync_backends.vault.slots import Busy, Slots

if TYPE_CHECKING:
    import requests

    from confsync_backends.vault.transport import Transport

_CHUNK = 64 * 1024
_REDIRECTS = frozenset({301, 302, 307, 308})
_TOKEN = re.compile(r"[!-~]+")
# What we send that Vault may quote in an error without harm; all else that we send is masked there.
_SHOWN = frozenset({"common_name", "alt_names", "ip_sans", "uri_sans", "format", "increment", "role", "ttl"})


class _Request(NamedTuple):
    """One call as it goes out; `url` is relative to the address, `about` begins its messages."""

    method: str
    path: str
    url: str
    headers: dict[str, str]
    body: Mapping[str, Any] | None
    query: Mapping[str, str] | None
    about: str


class Calls:
    """Makes calls for all threads, at most `concurrency` at the same time."""

    def __init__(self, options: VaultOptions, base: Path) -> None:
        self._options = options
        self._base = base
        self._slots = Slots(options.concurrency)
        self._lock = threading.Lock()
        self._transport: Transport | None = None

    @property
    def address(self) -> str:
        """Where Vault is, for messages."""
        return self._options.shown_address

    def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        doing: str,
    ) -> Reply:
        """Make one call.

        Args:
            method: GET, LIST, POST, PUT...
            path: without `/v1/`, not percent-encoded.
            token: who we are, or None for a login.
            doing: what for, for messages: `reading secret/prod/db`.

        Raises:
            Unavailable: no connection became free, no answer, half of one, or Vault cannot serve now; `retry_after` is
                set for 412, 429, 472, 473, where a Retry-After says so, and where the connection broke before the
                whole answer was here.
            TokenRejected: 403 with a token.
            Refused: 400.
            Denied, Invalid: see `faults.py` and `transport.py`.
        """
        about = f"vault at {self.address}: {printable(doing)}"
        headers = _headers(token, about)
        request = _Request(method, path, f"v1/{encode(path, about)}", headers, body, query, about)
        self._ready()  # loads the libraries, the first time: that is no time which Vault took
        deadline = time.monotonic() + self._options.timeout
        try:
            with self._slots.taken(path, deadline):
                raw = self._send(request, deadline)
        except Busy:
            raise self._busy(about) from None
        return read_reply(raw, about, path, authenticated=token is not None, secrets=_sent(token, body))

    def close(self) -> None:
        """Close the connections. Idempotent."""
        with self._lock:
            if self._transport is not None:
                self._transport.close()

    def _busy(self, about: str) -> Unavailable:
        return Unavailable(
            f"{about}: all {self._options.concurrency} connections are busy, none became free within "
            f"{self._options.timeout:.3g}s",
            hint="does Vault, or an engine of it, hang? else raise concurrency",
        )

    def _send(self, request: _Request, deadline: float) -> Raw:
        from requests import RequestException
        from urllib3.exceptions import HTTPError

        from confsync_backends.vault.transport import as_source_error as no_answer

        try:
            with self._ready().adapter() as adapter, self._answer(adapter, request, deadline) as response:
                content = self._content(response, request.about, deadline)
                return Raw(response.status_code, response.headers, content)
        except (RequestException, HTTPError, OSError) as error:
            raise no_answer(request.about, error, self._options) from error

    def _ready(self) -> Transport:
        from confsync_backends.vault.transport import Transport

        with self._lock:
            if self._transport is None:
                self._transport = Transport(self._options, self._base)
            return self._transport

    @contextmanager
    def _answer(self, adapter: Any, request: _Request, deadline: float) -> Iterator[requests.Response]:
        """The response, its body still to be read; one redirect (a standby's, to the active node) is followed."""
        with self._once(adapter, request, deadline) as response:
            if response.status_code not in _REDIRECTS:
                yield response
                return
            adapter = self._redirected(adapter, request, response)
        with self._once(adapter, request, deadline) as response:
            if response.status_code in _REDIRECTS:
                raise Unavailable(f"{request.about}: it was redirected more than once", hint="check address")
            yield response

    def _once(self, adapter: Any, request: _Request, deadline: float) -> requests.Response:
        response: requests.Response = adapter.request(
            request.method,
            request.url,
            headers=dict(request.headers),
            raise_exception=False,
            json=request.body,
            params=request.query,
            timeout=max(deadline - time.monotonic(), 0.001),
            stream=True,
        )
        return response

    def _redirected(self, adapter: Any, request: _Request, response: requests.Response) -> Any:
        """An adapter for the same request elsewhere.

        Raises:
            Invalid: it leads to another scheme, or to something else than the same path.
        """
        from hvac.adapters import RawAdapter

        location = response.headers.get("Location") or "/"
        target = urlsplit(urljoin(response.url, location))
        root, same, _ = target.path.partition(f"/{request.url}")
        place = printable(f"{target.scheme}://{target.netloc}{root}")
        if target.scheme != urlsplit(self._options.address).scheme:
            raise Invalid(
                f"{request.about}: it redirects to {target.scheme}://, where the token does not follow",
                hint=f"write address: {place}",
            )
        if not same or not target.netloc:
            raise Invalid(
                f"{request.about}: it redirects to another page, as no Vault does", hint="check address"
            )
        elsewhere = RawAdapter.from_adapter(adapter)
        elsewhere.base_uri = place
        return elsewhere

    def _content(self, response: requests.Response, about: str, deadline: float) -> bytes:
        from confsync_backends.vault.transport import timed_out

        content = bytearray()
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            content += chunk
            if len(content) > self._options.max_reply:
                raise Invalid(
                    f"{about}: the reply is longer than {self._options.max_reply} bytes",
                    hint="raise max_reply",
                )
            if time.monotonic() > deadline:
                raise timed_out(about, self._options)
        return bytes(content)


def encode(path: str, about: str) -> str:
    """The path for a URL: each segment percent-encoded, so that nothing in it means something to a URL.

    Raises:
        Invalid: an empty, `.` or `..` segment, or a control character: Vault's policies look at the path as it is
            written, so one that leads elsewhere is never sent.
    """
    if not path.isprintable():
        raise Invalid(f"{about}: the path holds a control character", key=path)
    segments = path.strip("/").split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        raise Invalid(f"{about}: the path holds an empty, '.' or '..' segment", key=path)
    try:
        return "/".join(quote(segment, safe="") for segment in segments)
    except UnicodeEncodeError:
        raise Invalid(f"{about}: the path is not Unicode text", key=path) from None


def _headers(token: str | None, about: str) -> dict[str, str]:
    # requests would quote a value that is no header in its error.
    if token is not None and not _TOKEN.fullmatch(token):
        raise Denied(
            f"{about}: the token holds a space, a line end or a character that is not ASCII",
            hint="write the token alone, on one line",
        )
    headers = {"Accept-Encoding": "identity"}
    if token is not None:
        headers["X-Vault-Token"] = token
    return headers


def _sent(token: str | None, body: Mapping[str, Any] | None) -> Iterator[str]:
    """What we sent that an error must not quote."""
    if token is not None:
        yield token
    for name, value in (body or {}).items():
        if name not in _SHOWN:
            yield from _strings(value)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
