"""The backends there are, found by entry points; nothing is imported until a configuration names it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from pydantic import ValidationError

from confsync.config.loading import LoadedConfig
from confsync.config.models import Source as SourceConfig
from confsync.driver import AddressedBackend, Driver, DriverOptions
from confsync.errors import ConfigError
from confsync.text import did_you_mean

log = logging.getLogger(__name__)

GROUP = "confsync.backends"
_LEASED = ("revoke", "keep_leases")
_ENCRYPTS = "cryptography"  # what is kept of leases


def backend_names() -> list[str]:
    """The names a configuration may give as `backend`, sorted."""
    return sorted({point.name for point in metadata.entry_points(group=GROUP)})


def load_backend(name: str) -> type[Driver]:
    """The driver registered as `name`.

    Raises:
        ConfigError: there is none, or its client library is not installed; says what to install.
    """
    point = next(_points(name), None)
    if point is None:
        raise ConfigError(f"there is no backend {name!r}{did_you_mean(name, backend_names())}")
    try:
        loaded: type[Driver] = point.load()
    except ImportError as exc:
        raise _not_installed(f"backend {name!r}", exc.name, name) from exc
    for package in loaded.packages:
        if find_spec(package) is None:
            raise _not_installed(f"backend {name!r}", package, name)
    return loaded


def _not_installed(what: str, package: str | None, extra: str) -> ConfigError:
    return ConfigError(
        f"{what} needs the Python package {package!r}", hint=f"pip install 'confsync[{extra}]'"
    )


def _points(name: str) -> Iterator[metadata.EntryPoint]:
    # Reading one distribution's entry points is quick; reading everybody's takes as long as they are many.
    with contextlib.suppress(metadata.PackageNotFoundError):
        yield from metadata.distribution("confsync").entry_points.select(group=GROUP, name=name)
    yield from metadata.entry_points(group=GROUP, name=name)


def validate_source(loaded: LoadedConfig, name: str) -> tuple[type[Driver], DriverOptions]:
    """The driver and options of the source `name`.

    Raises:
        ConfigError: with file and line: no such backend, a package it needs is not installed, or options it does
            not take.
    """
    source = loaded.config.sources[name]
    try:
        backend = load_backend(source.backend)
    except ConfigError as exc:
        raise ConfigError(
            exc.message, where=loaded.where(("sources", name, "backend")), hint=exc.hint
        ) from exc
    for name_of in _LEASED if not issubclass(backend, AddressedBackend) else ():
        if getattr(source, name_of) is not None:
            raise ConfigError(
                f"{name_of} is for sources with logins and leases; backend {source.backend!r} has none",
                where=loaded.where(("sources", name, name_of), of_key=True),
            )
    if source.keep_leases and find_spec(_ENCRYPTS) is None:
        missing = _not_installed("keep_leases", _ENCRYPTS, "vault")
        raise ConfigError(
            missing.message, where=loaded.where(("sources", name, "keep_leases")), hint=missing.hint
        )
    try:
        return backend, backend.Options.model_validate(source.options)
    except ValidationError as exc:
        raise ConfigError("\n".join(_option_lines(exc, loaded, name, backend))) from None


def _option_lines(
    error: ValidationError, loaded: LoadedConfig, name: str, backend: type[Driver]
) -> Iterator[str]:
    for detail in error.errors():
        path = detail["loc"]
        extra = detail["type"] == "extra_forbidden"
        where = loaded.where(("sources", name, *path), of_key=extra)
        if extra:
            known = did_you_mean(str(path[-1]), [*backend.Options.model_fields, *SourceConfig.model_fields])
            yield f"{where}: backend {loaded.config.sources[name].backend!r} has no option {path[-1]!r}{known}"
        elif detail["type"] == "missing":
            yield f"{where}: option {path[-1]!r} is missing"
        else:
            field = path[0] if path else name
            yield f"{where}: {field}: {str(detail['msg']).removeprefix('Value error, ')}"


def open_source(loaded: LoadedConfig, name: str, *, personal: bool = False) -> Driver:
    """Open the source `name`; no I/O happens yet.

    Args:
        personal: with the credentials of whoever calls, where there are any, instead of those configured.

    Raises:
        ConfigError: as `validate_source`, or what the caller has set for it cannot be used.
    """
    backend, options = validate_source(loaded, name)
    return backend.open(_personal(loaded, name, backend, options) if personal else options, loaded.base)


def _personal(loaded: LoadedConfig, name: str, backend: type[Driver], options: DriverOptions) -> Any:
    from confsync.source.credentials import credentials_of  # which imports this module

    used = loaded.config.sources[name].backend
    others = [
        validate_source(loaded, other)[1]
        for other, source in loaded.config.sources.items()
        if other != name and source.backend == used
    ]
    found = backend.personal(options, others, loaded.base)
    if found.taken:
        log.info("personal credentials", extra={"source": name, "taken": found.taken})
    return backend.withholding(found.options, credentials_of(loaded))


def option_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a backend's options."""
    return load_backend(name).Options.model_json_schema()


def config_schema() -> dict[str, Any]:
    """The configuration's JSON Schema, with the options of every backend that can be loaded here."""
    from confsync.config.models import Config

    schema = Config.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "confsync configuration"
    kinds: list[dict[str, Any]] = []
    for name in backend_names():
        try:
            options = option_schema(name)
        except ConfigError:
            continue  # its client library is not installed: its options are not known here
        schema["$defs"].update(options.pop("$defs", {}))
        options["properties"] |= {
            key: schema["$defs"]["Source"]["properties"][key] for key in SourceConfig.model_fields
        }
        kinds.append({"if": {"properties": {"backend": {"const": name}}}, "then": options})
    schema["$defs"]["Source"]["allOf"] = kinds
    return schema
