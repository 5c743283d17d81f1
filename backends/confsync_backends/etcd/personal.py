"""etcd for whoever calls: what `etcdctl` itself would use here, in place of a login made for machines.

- $ETCDCTL_USER (`NAME:PASSWORD`, or NAME beside $ETCDCTL_PASSWORD) takes the place of user and password;
  $ETCDCTL_CERT with $ETCDCTL_KEY, and $ETCDCTL_CACERT, of what `tls` says of them.
- Who and where belong together. $ETCDCTL_ENDPOINTS (or $ETCDCTL_DISCOVERY_SRV, which goes first) takes the place of
  the endpoints, and of all that is written about login and certificates: the variables say that then, or nothing does.
  An endpoint without a scheme is https where there are certificates, or where $ETCDCTL_INSECURE_TRANSPORT is false.
- One login is for one cluster. Where the sources are in several, which share no endpoint, the variables are for the
  one that has an endpoint of $ETCDCTL_ENDPOINTS, and for no other.
- Where nothing is set, the options stay: a machine's login works where its credentials are.

etcdctl asks for a password that is not given; we ask nobody. It leaves a server unverified where
$ETCDCTL_INSECURE_SKIP_TLS_VERIFY says so; gRPC cannot, so it verifies.

https://github.com/etcd-io/etcd/blob/main/etcdctl/README.md (variables), etcdctl/ctlv3/command/global.go (user, scheme)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr, ValidationError

from confsync.driver import Personal
from confsync.errors import ConfigError
from confsync_backends.etcd.endpoints import parse_endpoint

if TYPE_CHECKING:
    from confsync_backends.etcd.options import EtcdOptions

USER, PASSWORD = "ETCDCTL_USER", "ETCDCTL_PASSWORD"
ENDPOINTS, DISCOVERY = "ETCDCTL_ENDPOINTS", "ETCDCTL_DISCOVERY_SRV"
CA, CERT, KEY = "ETCDCTL_CACERT", "ETCDCTL_CERT", "ETCDCTL_KEY"
_UNVERIFIED, _PLAIN = "ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "ETCDCTL_INSECURE_TRANSPORT"
_TRUE, _FALSE = {"1", "t", "true"}, {"0", "f", "false"}
_LOG_IN = f"set {USER}=NAME:PASSWORD"
_CONNECTION = ("endpoints", "discovery_srv", "user", "password", "tls")  # who and where
# What there is to do by options -> by variables.
_BY_VARIABLES = (
    ("set user and password", _LOG_IN),
    ("check user and password", f"check {USER}"),
    ("set tls.server_name to a name in it", f"call it by a name in it in {ENDPOINTS}"),
    ("tls.ca", CA),
    ("tls.cert", CERT),
    ("tls.key", KEY),
)


@dataclass(frozen=True, slots=True)
class Person:
    """That options are for a person, and what was taken of theirs.

    Attributes:
        taken: the names of the variables that were.
        withheld: what to set where nobody can tell which cluster the variables are for; or "".
    """

    taken: tuple[str, ...] = ()
    withheld: str = ""

    def __str__(self) -> str:
        return ", ".join(f"${name}" for name in self.taken)

    @property
    def login(self) -> str:
        """What to do about a login."""
        return self.withheld or _LOG_IN

    def advice(self, hint: str | None, *, unreachable: bool) -> str | None:
        """What to do about an error: variables to set, for the configuration is others' too.

        Args:
            hint: what to do by options.
            unreachable: whether nothing answered at the endpoints.
        """
        if (
            hint is None
            and unreachable
            and not self.withheld
            and not {ENDPOINTS, DISCOVERY} & set(self.taken)
        ):
            return f"set {ENDPOINTS} to its address from this machine"
        if hint == "check user and password" and USER not in self.taken:
            return f"{hint}; or {self.login}"
        if hint == "set user and password" and self.withheld:
            return self.withheld
        return hint and self._by_variables(hint)

    def _by_variables(self, hint: str) -> str:
        for option, variable in _BY_VARIABLES:
            hint = hint.replace(option, variable)
        if CA in hint and _said(_UNVERIFIED).lower() in _TRUE:
            return f"{hint}; {_UNVERIFIED} is not obeyed: gRPC cannot skip verification"
        return hint


def personal(options: EtcdOptions, others: Sequence[EtcdOptions]) -> Personal:
    """See `Driver.personal`, and the rules above."""
    several = any(not _together(options, other) for other in others)
    if several and not set(_said_endpoints() or [_said(DISCOVERY)]) & _places(options):
        return Personal(options.for_person(Person(withheld=_withheld(options))))
    found = _Found(options)
    if not found.taken:
        return Personal(options.for_person(Person()))
    try:
        checked = type(options).model_validate(found.written)
    except ValidationError as error:
        said = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise ConfigError(f"{', '.join('$' + name for name in found.taken)}: {said}") from None
    person = Person(found.taken)
    made = options.model_copy(update={name: getattr(checked, name) for name in _CONNECTION})
    return Personal(made.for_person(person), f"{person}, for {made.place}")


def _withheld(options: EtcdOptions) -> str:
    where = (
        f"{DISCOVERY}={options.discovery_srv}" if options.discovery_srv else f"{ENDPOINTS}={options.place}"
    )
    return f"the sources are in several etcd clusters: set {where} and {USER}=NAME:PASSWORD for this one"


def _together(one: EtcdOptions, other: EtcdOptions) -> bool:
    return bool(_places(one) & _places(other))


def _places(options: EtcdOptions) -> set[str]:
    return {options.discovery_srv} if options.discovery_srv else set(options.endpoints)


def _said(name: str) -> str:
    return os.environ.get(name, "")


def _said_endpoints() -> list[str]:
    """The URLs of the variable's endpoints."""
    secure = any(_said(name) for name in (CA, CERT)) or _said(_PLAIN).lower() in _FALSE
    scheme = "https" if secure else "http"
    named = [url.strip() for url in _said(ENDPOINTS).split(",") if url.strip()]
    try:
        return [parse_endpoint(url if "://" in url else f"{scheme}://{url}").url for url in named]
    except ValueError as error:
        raise ConfigError(f"${ENDPOINTS}: {error}") from None


class _Found:
    """The options as they would be written with what the caller's variables say.

    Attributes:
        taken: the names of the variables used.
        written: the fields.
    """

    def __init__(self, options: EtcdOptions) -> None:
        self.taken: tuple[str, ...] = ()
        self.written: dict[str, Any] = {
            name: getattr(options, name) for name in _CONNECTION if name in options.model_fields_set
        }
        self._take_place()
        self._take_certificates(secure=self._is_secure(options))
        self._take_user()

    def _take_place(self) -> None:
        domain, endpoints = _said(DISCOVERY), _said_endpoints()
        if not domain and not endpoints:
            return
        self.written = {"discovery_srv": domain} if domain else {"endpoints": endpoints}
        self.taken += (DISCOVERY if domain else ENDPOINTS,)

    def _is_secure(self, options: EtcdOptions) -> bool:
        endpoints = self.written.get("endpoints", options.endpoints)
        return bool(self.written.get("discovery_srv")) or str(endpoints[0]).startswith("https:")

    def _take_certificates(self, *, secure: bool) -> None:
        # etcdctl, too, leaves certificates aside where the endpoint is http.
        named = {field: _said(name) for field, name in (("ca", CA), ("cert", CERT), ("key", KEY))}
        given = {field: os.path.abspath(path) for field, path in named.items() if path}
        if not secure or not given:
            return
        tls = self.written.get("tls")
        kept = {name: getattr(tls, name) for name in tls.model_fields_set} if tls is not None else {}
        if "cert" in given or "key" in given:
            kept |= {"cert": None, "key": None}
        self.written["tls"] = kept | given
        self.taken += tuple(name for name in (CA, CERT, KEY) if _said(name))

    def _take_user(self) -> None:
        user, password = _said(USER), _said(PASSWORD)
        if not user:
            return
        if password:
            self.written |= {"user": user, "password": {"env": PASSWORD}}
            self.taken += (USER, PASSWORD)
            return
        name, colon, password = user.partition(":")
        if not colon:
            raise ConfigError(f"${USER} has no password", hint=f"{_LOG_IN}, or {PASSWORD} beside it")
        self.written |= {"user": name, "password": SecretStr(password)}
        self.taken += (USER,)
