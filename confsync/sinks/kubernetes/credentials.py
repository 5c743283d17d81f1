"""How a cluster is found and logged in to: as a pod, or by a kubeconfig. The client library does it.

The library is imported only when somebody logs in: it costs 35 MB and a quarter of a second.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from confsync.clock import Clock, SystemClock
from confsync.config.kubernetes import Cluster
from confsync.errors import ConfigError
from confsync.sinks.kubernetes.kubeconfig import Kubeconfig

if TYPE_CHECKING:
    from kubernetes.client import Configuration

log = logging.getLogger(__name__)

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_HOST, _PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"
_POOL = 64
"""Connections kept; more than confsync ever uses at once, for those beyond it would be opened again and again."""
_LOOK_AGAIN = 10.0
"""Seconds for which a token is used without asking the library whether it is about to expire."""

_ODD_ANSWERS = (ValueError, LookupError, TypeError, AttributeError)
"""What the library raises, beside its own, where a plugin or a file says something it does not expect."""


class Credentials:
    """A cluster's address and our credentials for it. Any thread may use it; no I/O before the first call.

    Args:
        name: the cluster's, in `clusters`.
        options: how to log in.
        base: the directory of the configuration; a relative `kubeconfig` starts there.
        clock: what the age of a token is measured with.
        environ: where KUBECONFIG and KUBERNETES_SERVICE_HOST are looked for.
        service_account: what the kubelet mounts into a pod: token and ca.crt.

    Raises:
        ConfigError: (every method) there is nothing to log in with; one line that names file and context.
    """

    def __init__(
        self,
        name: str,
        options: Cluster,
        base: Path,
        *,
        clock: Clock | None = None,
        environ: Mapping[str, str] = os.environ,
        service_account: Path = SERVICE_ACCOUNT,
    ) -> None:
        self._name = name
        self._options = options
        self._base = base
        self._clock = clock or SystemClock()
        self._environ = environ
        self._service_account = service_account
        self._lock = threading.Lock()
        self._loaded: Configuration | None = None
        self._header = ""
        self._header_at = 0.0
        self._origin = ""
        self._warned = False
        self._renews = True

    def configuration(self) -> Configuration:
        """What the library found, read once."""
        with self._lock:
            return self._loaded or self._load()

    def reload(self) -> Configuration:
        """Reads everything again: files, and what a plugin says."""
        with self._lock:
            return self._load()

    def authorization(self) -> str:
        """The Authorization header; "" where the credentials are a certificate, or there are none.

        A token that is about to expire, or that the kubelet replaces, is read again by the library.
        """
        with self._lock:
            configuration = self._loaded or self._load()
            if self._clock.monotonic() - self._header_at >= _LOOK_AGAIN:
                self._renew_header(configuration)
            return self._header

    @property
    def origin(self) -> str:
        """Where the credentials come from, for messages; "" before they were loaded."""
        return self._origin

    def _load(self) -> Configuration:
        from kubernetes.client import Configuration

        configuration = Configuration(connection_pool_maxsize=_POOL)
        configuration.keep_alive = True
        try:
            self._origin = (
                self._load_pod(configuration) if self._as_pod() else self._load_kubeconfig(configuration)
            )
            self._header = _header(configuration)
        except ConfigError as exc:
            raise ConfigError(f"cluster {self._name!r}: {exc.message}", hint=exc.hint) from exc
        self._header_at = self._clock.monotonic()
        self._renews = True
        self._warn(configuration)
        self._loaded = configuration
        return configuration

    def _renew_header(self, configuration: Configuration) -> None:
        """Asks the library for the token; one that cannot be had again is used until the server refuses it."""
        self._header_at = self._clock.monotonic()
        refresh: Any = configuration.refresh_api_key_hook
        if refresh is None:
            return
        from kubernetes.config import ConfigException

        try:
            refresh(configuration)
            self._header = _header(configuration)
            self._renews = True
        except (ConfigError, ConfigException, OSError, *_ODD_ANSWERS) as exc:
            if not self._renews:
                return
            self._renews = False
            facts = {"cluster": self._name, "why": type(exc).__name__}
            log.warning("a token could not be renewed; the one there is is used on", extra=facts)

    def _as_pod(self) -> bool:
        options = self._options
        if options.in_cluster is not None:
            return options.in_cluster
        if options.kubeconfig is not None or options.context is not None:
            return False
        return _HOST in self._environ and (self._service_account / "token").exists()

    def _load_pod(self, configuration: Configuration) -> str:
        from kubernetes.config import ConfigException, incluster_config

        self._check_pod()
        library: Any = incluster_config
        loader = library.InClusterConfigLoader(
            token_filename=str(self._service_account / "token"),
            cert_filename=str(self._service_account / "ca.crt"),
            environ=self._environ,
        )
        try:
            loader.load_and_set(configuration)
        except (ConfigException, OSError, ValueError) as exc:
            raise ConfigError(
                f"{self._service_account} cannot be used to log in as a pod ({type(exc).__name__})"
            ) from None
        return f"the service account in {self._service_account}"

    def _check_pod(self) -> None:
        """Says what is missing in words of ours."""
        for variable in (_HOST, _PORT):
            if not self._environ.get(variable):
                raise ConfigError(
                    f"`in_cluster` logs in as a pod, but {variable} is not set",
                    hint="outside a cluster name a `kubeconfig`",
                )
        for name in ("token", "ca.crt"):
            file = self._service_account / name
            try:
                empty = not file.read_bytes().strip()
            except OSError as exc:
                why = (exc.strerror or type(exc).__name__).lower()
                raise ConfigError(
                    f"`in_cluster` logs in as a pod, but {file} cannot be read: {why}",
                    hint="the pod needs `automountServiceAccountToken: true`, or a projected token there",
                ) from exc
            if empty:
                raise ConfigError(f"`in_cluster` logs in as a pod, but {file} is empty")

    def _load_kubeconfig(self, configuration: Configuration) -> str:
        options = self._options
        if options.kubeconfig is not None:
            named = str(self._base / Path(options.kubeconfig).expanduser())
        else:
            named = self._environ.get("KUBECONFIG") or "~/.kube/config"
        kubeconfig = Kubeconfig(named, options.context, self._environ, options.timeout)
        context = kubeconfig.load(configuration)
        return f"the context {context!r} of {kubeconfig.name}"

    def _warn(self, configuration: Configuration) -> None:
        """Says once, and loudly, where a secret could be read on its way."""
        if self._warned:
            return
        self._warned = True
        facts = {"cluster": self._name, "origin": self._origin}
        address = urlsplit(configuration.host)
        if address.scheme == "http":
            if address.hostname not in ("localhost", "127.0.0.1", "::1"):
                log.warning("this cluster is spoken to WITHOUT TLS: anybody between can read", extra=facts)
        elif not configuration.verify_ssl:
            from urllib3 import disable_warnings
            from urllib3.exceptions import InsecureRequestWarning

            disable_warnings(InsecureRequestWarning)  # it would be said at each request
            log.warning(
                "this cluster's certificate is NOT VERIFIED (insecure-skip-tls-verify): anybody between can read",
                extra=facts,
            )


def _header(configuration: Configuration) -> str:
    """The Authorization header; a token file may end in a newline, and in nothing else that is no part of it."""
    header = (configuration.api_key.get("BearerToken") or "").strip()
    if not header.isascii() or not header.isprintable():
        raise ConfigError("the token has characters in it that no token has")
    return header
