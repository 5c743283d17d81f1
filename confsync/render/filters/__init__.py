"""What templates have besides Jinja's own: filters, tests and global functions.

All are pure, but those in `IMPURE`. None reads a file of the host. None matches regular expressions given by
a template: Python's can take exponential time, holding the interpreter's lock, and the daemon with it.

They are imported when first called: most templates use few, and start-up is paid by every one-shot run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from confsync.render.filters import guards
from confsync.render.filters.deferred import Deferred

__all__ = ["CHOOSING", "DERIVING", "FILTERS", "GLOBALS", "IMPURE", "SECRETIVE", "TESTS"]

_FILTERS = {
    "data": "to_json from_json to_yaml from_yaml to_toml from_toml",
    "encodings": "b64encode b64decode b64url_encode b64url_decode hex_encode hex_decode md5 sha1 sha256 "
    "sha512 hmac_sha256",
    "network": "ip_host ip_network ip_netmask ip_prefixlen ip_version ip_in ip_sort",
    "quoting": "shell_quote dotenv_quote json_string yaml_quote toml_quote hcl_quote properties_escape "
    "ini_value nginx_quote haproxy_quote systemd_quote redis_quote postgresql_quote pg_hba_quote "
    "php_quote spring_quote connection_string_quote regex_escape",
    "textual": "nindent comment trim_prefix trim_suffix split snake_case kebab_case camel_case basename "
    "dirname to_bool ternary",
    "times": "strftime to_datetime from_unix duration_seconds",
    "urls": "url_parse url_host url_port url_quote url_unquote url_query host_port",
    "words": "bare_word identifier one_of whole_number port host address url_path",
}
_TESTS = {"checks": "is_ip is_ipv4 is_ipv6 is_cidr is_url is_uuid is_truthy"}
_IMPURE = {
    "host": "env hostname",
    "lookups": "lookup_ip lookup_ipv4 lookup_ipv6 lookup_srv lookup_txt",
    "times": "now",
}
_DERIVING = (
    "from_json from_yaml from_toml b64decode b64url_decode hex_decode split trim_prefix trim_suffix basename dirname "
    "url_parse url_host url_unquote host_port"
)
_CHOOSING = "batch dictsort first groupby items last list max min random slice sort unique"
_SECRETIVE = (
    "md5 sha1 sha256 sha512 hmac_sha256 length count wordcount filesizeformat default d ternary attr map select "
    "selectattr reject rejectattr"
)


def _deferred(modules: Mapping[str, str]) -> dict[str, Callable[..., Any]]:
    return {
        name: Deferred(f"{__name__}.{module}", name)
        for module, names in modules.items()
        for name in names.split()
    }


FILTERS: dict[str, Callable[..., Any]] = {**guards.FILTERS, **_deferred(_FILTERS)}
TESTS: dict[str, Callable[..., Any]] = {
    name.removeprefix("is_"): test for name, test in _deferred(_TESTS).items()
}  # fmt: skip
GLOBALS: dict[str, Callable[..., Any]] = {
    **guards.GLOBALS,
    **_deferred(_IMPURE),
    **_deferred({"host": "seq", "refusing": "fail"}),
}
IMPURE: frozenset[str] = frozenset(_deferred(_IMPURE))
"""Those whose result depends on more than their arguments: time, DNS, the environment, the host."""
DERIVING: frozenset[str] = frozenset(_DERIVING.split())
"""Those that decode text or take it apart: what they give may be secret though no secret is to be seen before."""
CHOOSING: frozenset[str] = frozenset(_CHOOSING.split())
"""Those that give what is in a list or mapping, and nothing new, unless they are given text to take apart."""
SECRETIVE: frozenset[str] = frozenset(_SECRETIVE.split())
"""Those whose result does not tell what they were given, or is one of the things they were given."""
