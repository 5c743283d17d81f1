"""Kubeconfig files. The library reads them; what is wrong with one is found here first.

For the library's errors name neither the line nor the nearest context, and quote the entry they are about, tokens
included. So none of them is ever shown.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from confsync.errors import ConfigError
from confsync.sinks.kubernetes import exec_plugin
from confsync.text import did_you_mean, printable

if TYPE_CHECKING:
    from kubernetes.client import Configuration

_FILES = ("client-certificate", "client-key", "tokenFile")
_TEXTS = (*_FILES, "token", "username", "password", "client-certificate-data", "client-key-data")
_PROVIDERS = ("gcp", "oidc")


class Kubeconfig:
    """One or more files, merged as kubectl does; nothing is read before `load`.

    Args:
        named: a path, or several with colons between them, of which some may be missing.
        context: the one to use; None is the current one.
        environ: what an exec plugin is run with.
        timeout: seconds an exec plugin may take.
    """

    def __init__(self, named: str, context: str | None, environ: Mapping[str, str], timeout: float) -> None:
        self._paths = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
        self._wanted = context
        self._environ = environ
        self._timeout = timeout

    def load(self, configuration: Configuration) -> str:
        """Sets address and credentials; gives the context's name.

        Raises:
            ConfigError: a file is missing, broken, or names something that is not there; without the cluster's name.
        """
        entries = _Entries(self._existing())
        context = entries.context(self._wanted)
        entries.check(context)
        self._hand_over(configuration, entries, context)
        return context

    @property
    def name(self) -> str:
        """The files, for messages."""
        return os.pathsep.join(map(str, self._paths))

    def _existing(self) -> list[Path]:
        found = [path for path in self._paths if path.exists()]
        if found:
            return found
        raise ConfigError(
            f"there is no kubeconfig {self.name}",
            hint="name one as `kubeconfig`, or log in as a pod with `in_cluster: true`",
        )

    def _hand_over(self, configuration: Configuration, entries: _Entries, context: str) -> None:
        from kubernetes.config import ConfigException

        try:
            loader = self._loader(entries.paths, context)
            loader.load_and_set(configuration)
        except ConfigError as exc:
            raise ConfigError(
                f"{self.name}: user of context {context!r}: {exc.message}", hint=exc.hint
            ) from exc
        except OSError as exc:
            why = (exc.strerror or type(exc).__name__).lower()
            raise ConfigError(f"{self.name}: the context {context!r} cannot be used: {why}") from exc
        except (ConfigException, ValueError, LookupError, TypeError, AttributeError) as exc:
            kind = type(exc).__name__
            raise ConfigError(f"{self.name}: the context {context!r} cannot be used ({kind})") from None

    def _loader(self, paths: list[Path], context: str) -> Any:
        """The library's, but for exec plugins."""
        from kubernetes.config import kube_config

        library: Any = kube_config
        environ, timeout = self._environ, self._timeout

        class Loader(library.KubeConfigLoader):  # type: ignore[misc]
            def _load_from_exec_plugin(self) -> bool | None:
                if "exec" not in self._user:
                    return None
                directory = Path(self._get_base_path(self._user.path))
                status = exec_plugin.credentials(
                    self._user["exec"].value, self._cluster.value, directory, environ, timeout
                )
                if status.get("token"):
                    self.token = f"Bearer {status['token']}"
                if status.get("clientCertificateData"):
                    self.cert_file = _as_file(library, status, "clientCertificateData")
                    self.key_file = _as_file(library, status, "clientKeyData")
                if status.get("expirationTimestamp"):
                    self.expiry = library.parse_rfc3339(status["expirationTimestamp"])
                return True

        merged = library.KubeConfigMerger(os.pathsep.join(map(str, paths))).config
        return Loader(config_dict=merged, active_context=context, config_base_path=None)


def _as_file(library: Any, status: Mapping[str, Any], key: str) -> Any:
    """What OpenSSL wants as a file, as one that only we can read and that goes when we do."""
    return library.FileOrData(status, None, data_key_name=key, base64_file_content=False).as_file()


class _Entries:
    """What the files hold; of entries with one name the first counts. Raises `ConfigError` for a broken file."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self._current = ""
        self._found: dict[str, dict[str, tuple[Path, Mapping[str, Any]]]] = {}
        for path in paths:
            content = _parsed(path)
            self._current = self._current or str(content.get("current-context") or "")
            for kind in ("contexts", "clusters", "users"):
                self._add(kind, path, content.get(kind) or [])

    def context(self, wanted: str | None) -> str:
        """The name of the context to use."""
        known = self._found.get("contexts", {})
        name = wanted or self._current
        where = os.pathsep.join(map(str, self.paths))
        if not name:
            raise ConfigError(f"{where} has no current-context", hint=_choose(known))
        if name not in known:
            raise ConfigError(f"{where} has no context {name!r}{did_you_mean(name, known)}")
        return name

    def check(self, context: str) -> None:
        """Raises `ConfigError` where what the context names is not there."""
        path, entry = self._found["contexts"][context]
        cluster_path, cluster = self._named("clusters", path, context, entry.get("cluster"))
        server = str(cluster.get("server") or "")
        if not _is_address(server):
            what = f"the server of cluster {entry.get('cluster')!r}"
            raise ConfigError(f"{cluster_path}: {what} is no address that begins with https://")
        _check_files(cluster_path, cluster, ("certificate-authority",))
        if entry.get("user"):
            user_path, user = self._named("users", path, context, entry["user"])
            _check_user(user_path, str(entry["user"]), user)

    def _named(self, kind: str, path: Path, context: str, name: object) -> tuple[Path, Mapping[str, Any]]:
        known = self._found.get(kind, {})
        if str(name) in known:
            return known[str(name)]
        what = f"the {kind[:-1]} {name!r}" if name else f"no {kind[:-1]}"
        missing = f", which is not there{did_you_mean(str(name), known)}" if name else ""
        raise ConfigError(f"{path}: the context {context!r} names {what}{missing}")

    def _add(self, kind: str, path: Path, entries: object) -> None:
        if not isinstance(entries, list):
            raise ConfigError(f"{path}: {kind} is no list")
        below = kind[:-1]
        for entry in entries:
            inner = entry.get(below) if isinstance(entry, dict) else None
            if not isinstance(entry, dict) or "name" not in entry or not isinstance(inner or {}, dict):
                raise ConfigError(f"{path}: an entry of {kind} is not {{name: …, {below}: {{…}}}}")
            self._found.setdefault(kind, {}).setdefault(str(entry["name"]), (path, inner or {}))


def _parsed(path: Path) -> Mapping[str, Any]:
    """What a file holds; the parser's own words are not shown, for they quote it."""
    try:
        with path.open("rb") as file:
            content = yaml.safe_load(file)
    except OSError as exc:
        why = (exc.strerror or type(exc).__name__).lower()
        raise ConfigError(f"the kubeconfig {path} cannot be read: {why}") from exc
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise ConfigError("this kubeconfig is no YAML", where=where) from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is no kubeconfig")
    return content


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check_user(path: Path, name: str, user: Mapping[str, Any]) -> None:
    if any(key == "as" or key.startswith("as-") for key in user):
        raise ConfigError(
            f"{path}: the user {name!r} acts as somebody else (`as`), which confsync does not do"
        )
    for key in _TEXTS:
        if not isinstance(user.get(key) or "", str):
            raise ConfigError(f"{path}: the {key} of user {name!r} is no text", hint="put it in quotes")
    provider = user.get("auth-provider")
    kind = provider.get("name") if isinstance(provider, dict) else None
    if provider and kind not in _PROVIDERS:
        raise ConfigError(
            f"{path}: the user {name!r} has the auth-provider {printable(str(kind))!r}, which is no longer known",
            hint="use an exec plugin, as kubectl now does",
        )
    _check_files(path, user, _FILES)


def _check_files(path: Path, entry: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        if entry.get(key) and not entry.get(f"{key}-data"):
            named = path.parent / str(entry[key])
            if not os.access(named, os.R_OK):
                why = "cannot be read" if named.exists() else "is not there"
                raise ConfigError(f"{path}: the file its {key} names, {named}, {why}")


def _choose(known: Mapping[str, object]) -> str:
    return f"name one as `context`: {', '.join(sorted(known)[:12])}"
