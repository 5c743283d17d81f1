"""What templates have besides Jinja's own: filters, tests and global functions.

All are pure, but those in `IMPURE`. None reads a file of the host. None matches regular expressions given by
a template: Python's can take exponential time, holding the interpreter's lock, and the daemon with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confsync.render.filters import (
    checks,
    data,
    encodings,
    guards,
    host,
    lookups,
    network,
    quoting,
    textual,
    times,
    urls,
)
from confsync.render.filters.values import defined

__all__ = ["FILTERS", "GLOBALS", "IMPURE", "TESTS"]

_FILTERS: tuple[Callable[..., Any], ...] = (
    data.to_json, data.from_json, data.to_yaml, data.from_yaml, data.to_toml, data.from_toml,
    encodings.b64encode, encodings.b64decode, encodings.b64url_encode, encodings.b64url_decode,
    encodings.hex_encode, encodings.hex_decode, encodings.md5, encodings.sha1, encodings.sha256,
    encodings.sha512, encodings.hmac_sha256, quoting.shell_quote, quoting.dotenv_quote,
    quoting.json_string, quoting.yaml_quote, quoting.toml_quote, quoting.hcl_quote,
    quoting.properties_escape, quoting.ini_value, quoting.nginx_quote, quoting.haproxy_quote,
    quoting.systemd_quote, quoting.regex_escape, textual.nindent, textual.comment, textual.trim_prefix,
    textual.trim_suffix, textual.split, textual.snake_case, textual.kebab_case, textual.camel_case,
    textual.basename, textual.dirname, textual.to_bool, textual.ternary, network.ip_host,
    network.ip_network, network.ip_netmask, network.ip_prefixlen, network.ip_version, network.ip_in,
    network.ip_sort, urls.url_parse, urls.url_host, urls.url_port, urls.url_quote, urls.url_unquote,
    urls.url_query, urls.host_port, times.strftime, times.to_datetime, times.from_unix,
    times.duration_seconds,
)  # fmt: skip
_TESTS: tuple[Callable[..., bool], ...] = (
    checks.is_ip, checks.is_ipv4, checks.is_ipv6, checks.is_cidr, checks.is_url, checks.is_uuid,
    checks.is_truthy,
)  # fmt: skip
_GLOBALS: dict[str, Callable[..., Any]] = {
    "env": host.env,
    "hostname": host.hostname,
    "now": times.now,
    "seq": host.seq,
    **lookups.Lookups().functions(),
}

FILTERS: dict[str, Callable[..., Any]] = {
    **guards.FILTERS,
    **{function.__name__: defined(function) for function in _FILTERS},
}
TESTS: dict[str, Callable[..., Any]] = {
    function.__name__.removeprefix("is_"): defined(function) for function in _TESTS
}
GLOBALS: dict[str, Callable[..., Any]] = {
    **guards.GLOBALS,
    **{name: defined(function) for name, function in _GLOBALS.items()},
}
IMPURE: frozenset[str] = frozenset(_GLOBALS) - {"seq"}
"""Those whose result depends on more than their arguments: time, DNS, the environment, the host."""
