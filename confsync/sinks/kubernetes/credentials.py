"""How a cluster is found and logged in to: as a pod, or by a kubeconfig. The client library does it.

The library is imported only here, and only when somebody logs in: it costs 35 MB and a quarter of a second.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confsync.config.kubernetes import Cluster
from confsync.errors import ConfigError

if TYPE_CHECKING:
    from kubernetes.client import Configuration

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_POOL = 32


class Credentials:
    """A cluster's address and our credentials for it. Any thread may use it; no I/O before `configuration`.

    Args:
        name: the cluster's, in `clusters`.
        options: how to log in.
        base: the directory of the configuration; relative paths start there.
        environ: where KUBECONFIG and KUBERNETES_SERVICE_HOST are looked for.
        service_account: what the kubelet mounts into a pod: token and ca.crt.
    """

    def __init__(
        self,
        name: str,
        options: Cluster,
        base: Path,
        *,
        environ: Mapping[str, str] = os.environ,
        service_account: Path = SERVICE_ACCOUNT,
    ) -> None:
        self._name = name
        self._options = options
        self._base = base
        self._environ = environ
        self._service_account = service_account
        self._lock = threading.Lock()
        self._loaded: Configuration | None = None

    def configuration(self) -> Configuration:
        """What the library found, read once. Raises `ConfigError`."""
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def reload(self) -> Configuration:
        """Reads everything again: files, and what a plugin says. Raises `ConfigError`."""
        with self._lock:
            self._loaded = self._load()
            return self._loaded

    def authorization(self) -> str:
        """The Authorization header; "" where the credentials are a certificate. A token about to expire is renewed."""
        configuration = self.configuration()
        with self._lock:
            return (configuration.get_api_key_with_prefix("BearerToken") or "").strip()

    def _load(self) -> Configuration:
        from kubernetes.client import Configuration

        configuration = Configuration(connection_pool_maxsize=_POOL)
        configuration.keep_alive = True
        if self._as_pod():
            self._load_pod(configuration)
        else:
            self._load_kubeconfig(configuration)
        return configuration

    def _as_pod(self) -> bool:
        options = self._options
        if options.in_cluster is not None:
            return options.in_cluster
        if options.kubeconfig is not None or options.context is not None:
            return False
        return "KUBERNETES_SERVICE_HOST" in self._environ and (self._service_account / "token").exists()

    def _load_pod(self, configuration: Configuration) -> None:
        from kubernetes.config import ConfigException, incluster_config

        library: Any = incluster_config
        loader = library.InClusterConfigLoader(
            token_filename=str(self._service_account / "token"),
            cert_filename=str(self._service_account / "ca.crt"),
            environ=self._environ,
        )
        try:
            loader.load_and_set(configuration)
        except (ConfigException, OSError) as exc:
            raise ConfigError(f"cluster {self._name!r}: cannot log in as a pod: {exc}") from exc

    def _load_kubeconfig(self, configuration: Configuration) -> None:
        from kubernetes import config
        from kubernetes.config import ConfigException

        load: Any = config.load_kube_config
        named = self._options.kubeconfig or self._environ.get("KUBECONFIG") or "~/.kube/config"
        path = str(self._base / Path(named).expanduser()) if self._options.kubeconfig else named
        try:
            load(path, self._options.context, client_configuration=configuration, persist_config=False)
        except (ConfigException, OSError) as exc:
            raise ConfigError(f"cluster {self._name!r}: cannot use {path}: {exc}") from exc
