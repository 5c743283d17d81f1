"""The connections to Vault: one pooled session inside hvac's adapter, its TLS, and what goes wrong below HTTP.

Imports hvac and requests, which take a while: import this module when the first call is made.
"""

from __future__ import annotations

import errno
import http.client
import re
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import urllib3
from hvac.adapters import RawAdapter
from requests.adapters import HTTPAdapter

from confsync.errors import Denied, Invalid, SourceError, Unavailable
from confsync_backends.credential_file import read_bytes
from confsync_backends.vault.options import VaultOptions

_Stamp = tuple[tuple[int, int, int], ...]


class Transport:
    """Gives the adapter to make calls with, and makes another when a TLS file has changed. Thread-safe."""

    def __init__(self, options: VaultOptions, base: Path) -> None:
        self._options = options
        self._tls = TlsFiles(options, base)
        self._lock = threading.Lock()
        self._current: _Pool | None = None
        self._stamp: _Stamp = ()

    @contextmanager
    def adapter(self) -> Iterator[RawAdapter]:
        """The adapter for one call. Its connections stay open until the last call that uses it is over.

        Raises:
            Invalid: a TLS file cannot be used.
        """
        pool = self._enter()
        try:
            yield pool.adapter
        finally:
            self._leave(pool)

    def close(self) -> None:
        """Close what is not in use; what is, is closed by its last user. Idempotent."""
        with self._lock:
            self._retire()

    def _enter(self) -> _Pool:
        with self._lock:
            stamp = self._tls.stamp()
            if self._current is None or stamp != self._stamp:
                fresh = _Pool(self._open())
                self._retire()
                self._current, self._stamp = fresh, stamp
            self._current.users += 1
            return self._current

    def _leave(self, pool: _Pool) -> None:
        with self._lock:
            pool.users -= 1
            pool.close_if_over()

    def _retire(self) -> None:
        pool, self._current = self._current, None
        if pool is not None:
            pool.retired = True
            pool.close_if_over()

    def _open(self) -> RawAdapter:
        options = self._options
        session = _Session()
        # The environment would add a .netrc's login, and certificates that nobody named here.
        session.trust_env = False
        session.verify = options.verify
        if options.address.startswith("https:"):  # to read all the system's CAs takes as long as many calls
            secure = _SecureAdapter(self._tls.context(), options.tls_server_name, options.concurrency)
            session.mount("https://", secure)
        session.mount("http://", HTTPAdapter(pool_maxsize=options.concurrency))
        if not options.verify:
            # Said where people look (`VaultOptions.shown_address`), not once for each call.
            warnings.filterwarnings("ignore", category=urllib3.exceptions.InsecureRequestWarning)
        return RawAdapter(
            base_uri=options.address,
            verify=options.verify,
            proxies=_proxies(options),
            allow_redirects=False,
            session=session,
            namespace=options.namespace,
        )


class _Pool:
    """An adapter, and how many calls are using it."""

    def __init__(self, adapter: RawAdapter) -> None:
        self.adapter = adapter
        self.users = 0
        self.retired = False

    def close_if_over(self) -> None:
        if self.retired and not self.users:
            self.adapter.close()


class _Session(requests.Session):
    """A session that leaves redirects alone: it would read their bodies whole, and follow with the token."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        return None


class TlsFiles:
    """The certificates an operator named, as a TLS context."""

    def __init__(self, options: VaultOptions, base: Path) -> None:
        self._options = options
        self._base = base

    def stamp(self) -> _Stamp:
        """Something that differs when one of the files was replaced or rewritten."""
        return tuple(_stat(path) for _, path in self._files())

    def context(self) -> ssl.SSLContext:
        """What every connection is made with: verified, at least TLS 1.2, unless `verify` is false.

        Raises:
            Invalid: a file cannot be read, or holds no certificate or key that fits.
        """
        files = dict(self._files())
        context = self._trusting(self._pem("ca_cert", files), files.get("ca_path"))
        if not self._options.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate, key = self._pem("client_cert", files), self._pem("client_key", files)
        if certificate is not None:
            self._load(context, certificate, key)
        return context

    def _trusting(self, ca: Path | None, directory: Path | None) -> ssl.SSLContext:
        if directory is not None and not directory.is_dir():
            raise self._invalid("ca_path", directory, "it is no directory")
        try:
            return ssl.create_default_context(cafile=ca, capath=directory)
        except ssl.SSLError as error:
            raise self._invalid(
                "ca_cert", ca or Path(), "it holds no certificate that can be read"
            ) from error

    def _files(self) -> list[tuple[str, Path]]:
        names = ("ca_cert", "ca_path", "client_cert", "client_key")
        named = [(name, getattr(self._options, name)) for name in names]
        return [(name, self._base / value) for name, value in named if value is not None]

    def _pem(self, name: str, files: dict[str, Path]) -> Path | None:
        # Python names no file where one is missing or holds something else.
        path = files.get(name)
        if path is None:
            return None
        try:
            content = read_bytes(path)
        except OSError as error:
            raise self._invalid(name, path, error.strerror or "unreadable") from error
        if b"-----BEGIN " not in content:
            raise self._invalid(name, path, "it holds nothing in PEM format")
        return path

    def _load(self, context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
        try:
            # An encrypted key would make OpenSSL ask for its password on the terminal.
            context.load_cert_chain(certificate, key, password=lambda: "")
        except ssl.SSLError as error:
            why = "the key does not belong to the certificate, is encrypted, or is no key"
            raise self._invalid("client_cert, client_key", certificate, why) from error

    def _invalid(self, name: str, path: Path, why: str) -> Invalid:
        hint = self._options.advice_on(name)
        return Invalid(f"vault at {self._options.shown_address}: {name}: {path}: {why}", hint=hint)


def _stat(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)


class _SecureAdapter(HTTPAdapter):
    """Connections over TLS, all by one context."""

    def __init__(self, context: ssl.SSLContext, server_name: str | None, size: int) -> None:
        self._context = context
        self._server_name = server_name
        super().__init__(pool_maxsize=size)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **self._secured(kwargs))

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, **self._secured(kwargs))

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing: the context knows whom to trust. The inherited one would add the certificates of certifi."""

    def _secured(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        named = {} if self._server_name is None else {"server_hostname": self._server_name}
        return {**kwargs, "ssl_context": self._context, **named}


def _proxies(options: VaultOptions) -> dict[str, str]:
    if options.proxy is None:
        return requests.utils.get_environ_proxies(options.address)
    proxy = options.proxy.get_secret_value()
    return {"http": proxy, "https": proxy}


# What OpenSSL says -> kind, what we say, what to do.
_TLS = (
    (
        r"hostname mismatch|ip address mismatch|doesn't match", Invalid,
        "its certificate is for another name", "set tls_server_name to a name in it",
    ),
    (r"certificate has expired", Invalid, "its certificate has expired", "renew it, or check this machine's clock"),
    (
        r"certificate is not yet valid", Invalid,
        "its certificate is not valid yet", "check this machine's clock",
    ),
    (
        r"certificate_verify_failed", Invalid,
        "its certificate is not trusted", "set ca_cert to the CA that signed it",
    ),
    (
        r"wrong_version_number|record_layer_failure|http_request", Invalid,
        "it does not speak TLS", "write http:// in address",
    ),
    (
        r"alert.*(certificate|unknown_ca)|certificate_required|handshake_failure", Denied,
        "it refused our client certificate", "set client_cert and client_key to a certificate it trusts",
    ),
)  # fmt: skip


_HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError, BrokenPipeError)
_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
# What was raised -> what we say, what to do.
_NETWORK: tuple[tuple[tuple[type[Exception], ...], str, str], ...] = (
    (
        (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError),
        "the proxy cannot be used", "check proxy, or $HTTPS_PROXY",
    ),
    (
        (socket.gaierror, urllib3.exceptions.NameResolutionError),
        "its host name is not known", "check address, or this machine's DNS",
    ),
    ((ConnectionRefusedError,), "connection refused", "is Vault running, and address right?"),
)  # fmt: skip


def as_source_error(about: str, error: Exception, options: VaultOptions) -> SourceError:
    """The error for a call that got no whole answer.

    Args:
        about: what its message begins with: where and what for.
        error: what requests, urllib3 or the socket raised.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _HUNG_UP):
            return _tls_error(about, cause, options)
    # The order matters: urllib3's error for a connection that did not come about is a timeout, too.
    for kinds, text, hint in _NETWORK:
        if any(isinstance(cause, kinds) for cause in causes):
            return Unavailable(f"{about}: {text}", hint=options.advice(hint, unreachable=True))
    unreachable = next((c for c in causes if isinstance(c, OSError) and c.errno in _UNREACHABLE), None)
    if unreachable is not None:
        advice = options.advice("check address and the network", unreachable=True)
        return Unavailable(f"{about}: it cannot be reached", hint=advice)
    if any(isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError) for cause in causes):
        return timed_out(about, options)
    return _broken(about, causes, options)


def timed_out(about: str, options: VaultOptions) -> Unavailable:
    """The error for an answer that did not come in time."""
    hint = options.advice(None, unreachable=True)
    return Unavailable(f"{about}: no whole answer within {options.timeout:.3g}s", hint=hint)


def _broken(about: str, causes: list[BaseException], options: VaultOptions) -> Unavailable:
    plain = options.address.startswith("http:")
    hint = None
    if plain and any(isinstance(cause, http.client.BadStatusLine) for cause in causes):
        hint = "if it speaks TLS, write https:// in address"
    elif not plain and any(isinstance(cause, _HUNG_UP) for cause in causes):
        # What a server says to a certificate it refuses is lost where it hangs up at the same time.
        hint = "if this goes on, does it want another client certificate? set client_cert and client_key"
    return Unavailable(
        f"{about}: the connection broke before the whole answer was here",
        hint=options.advice(hint, unreachable=False),
        retry_after=0.0,
    )


def _tls_error(about: str, error: ssl.SSLError, options: VaultOptions) -> SourceError:
    said = str(error).lower().replace(" ", "_") + " " + str(error).lower()
    for pattern, kind, text, hint in _TLS:
        if re.search(pattern, said):
            return kind(f"{about}: {text}", hint=options.advice(hint, unreachable=False))
    return Unavailable(f"{about}: TLS failed ({error.reason})")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all it was raised from; the libraries nest them in several ways."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
