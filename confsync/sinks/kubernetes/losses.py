"""What it means where no answer came: no connection, no trust, silence, half of one."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace

from confsync.sinks.kubernetes.failures import Asked, Unreachable


@dataclass(frozen=True, slots=True)
class _Loss:
    """Why, what to do about it, whether the request may have been sent, may be over in a moment, was waited for."""

    why: str
    hint: str | None = None
    sent: bool = True
    passing: bool = True
    silent: bool = False


_AUTHORITY = "give the cluster's certificate-authority in the kubeconfig"
_NO_AUTHORITY = _Loss("its certificate comes from an authority that is not trusted", _AUTHORITY, False, False)
_CERTIFICATE = {
    9: _Loss("its certificate is not valid yet", "compare the clocks", False, False),
    10: _Loss("its certificate has expired", None, False, False),
    18: replace(_NO_AUTHORITY, why="its certificate is signed by itself, and not the one that is trusted"),
    19: _NO_AUTHORITY,
    20: _NO_AUTHORITY,
    21: _NO_AUTHORITY,
    62: _Loss(
        "its certificate is for another host name",
        "use a name the certificate has, or set tls-server-name in the kubeconfig",
        False,
        False,
    ),
    64: _Loss(
        "its certificate is for another address",
        "use an address the certificate has, or set tls-server-name in the kubeconfig",
        False,
        False,
    ),
}
"""OpenSSL's X509_V_ERR_* -> what is wrong with the server's certificate."""

_TLS = (
    (
        ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_OR_CRL_FOUND", "PEM lib"),
        _Loss("the certificates or keys of the kubeconfig cannot be used", None, False, False),
    ),
    (
        ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"),
        _Loss(
            "it does not speak TLS",
            "its address should begin with http://, or the port is another's",
            False,
            False,
        ),
    ),
    (
        (
            "ALERT_UNKNOWN_CA",
            "ALERT_BAD_CERTIFICATE",
            "CERTIFICATE_REQUIRED",
            "ALERT_CERTIFICATE",
            "HANDSHAKE_FAILURE",
        ),
        _Loss("it refuses our client certificate, or the want of one", None, True, False),
    ),
    (("EOF",), _Loss("the connection was lost")),
)
"""Parts of OpenSSL's reasons -> what they mean."""

_URLLIB3 = {
    "ProxyError": _Loss("the proxy does not let us through: {}", sent=False),
    "NameResolutionError": _Loss("there is no such host", sent=False),
    "NewConnectionError": _Loss("no connection: {}", sent=False),
    "ConnectTimeoutError": _Loss("no connection: it does not answer", sent=False, silent=True),
    "ReadTimeoutError": _Loss("no answer in time", silent=True),
    "IncompleteRead": _Loss("half an answer"),
    "ProtocolError": _Loss("half an answer, or none: {}"),
}
"""Its exceptions by name, the nearest of their bases counting; it is imported only where something is asked."""


def lost(asked: Asked, address: str, error: Exception) -> Unreachable:
    """The failure it means where `error` came instead of an answer."""
    below = list(_beneath(error))
    loss = _meaning(error, below)
    failure = Unreachable(asked, f"{address}: {loss.why}", hint=loss.hint)
    failure.sent, failure.passing, failure.silent = loss.sent, loss.passing, loss.silent
    failure.files_gone = any(isinstance(one, FileNotFoundError) for one in below)
    return failure


def _meaning(error: Exception, below: list[BaseException]) -> _Loss:
    for one in below:
        if isinstance(one, FileNotFoundError):
            return _Loss("a certificate or key of ours is no longer there", sent=False)
        if isinstance(one, ssl.SSLCertVerificationError):
            unknown = _Loss("its certificate cannot be verified", None, False, False)
            return _CERTIFICATE.get(one.verify_code, unknown)
        if isinstance(one, ssl.SSLError):
            return _tls(one)
    for base in type(error).__mro__:
        if base.__name__ in _URLLIB3:
            loss = _URLLIB3[base.__name__]
            return replace(loss, why=loss.why.format(_system(below)))
    return _Loss(f"no answer: {_system(below)}")


def _tls(error: ssl.SSLError) -> _Loss:
    reason = error.reason or str(error)
    for words, loss in _TLS:
        if any(word in reason for word in words):
            return loss
    told = (error.reason or "for an unknown reason").lower().replace("_", " ")
    return _Loss(f"TLS fails ({told})", None, True, False)


def _system(errors: list[BaseException]) -> str:
    """What the operating system says of it."""
    for one in errors:
        if isinstance(one, OSError) and one.strerror:
            return one.strerror.lower()
    return "the connection was lost"


def _beneath(error: BaseException) -> Iterator[BaseException]:
    """The error, those it came from, and those it holds."""
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        one = pending.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        within = [arg for arg in one.args if isinstance(arg, BaseException)]
        pending += within + [cause for cause in (one.__cause__, one.__context__) if cause is not None]
