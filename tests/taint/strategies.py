"""Random sources with secrets in them, and random syncs with templates over them.

CONFSYNC_TAINT_EXAMPLES=10000 pytest tests/taint      a long run, with other examples every time
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st

Stores = Mapping[str, Mapping[str, bytes]]
"""Source -> path -> value."""

EXAMPLES = int(os.environ.get("CONFSYNC_TAINT_EXAMPLES", "0"))
"""How many in a long run; 0: the few that the suite has time for, always the same."""
in_time = pytest.mark.timeout(0 if EXAMPLES else 400)
TELLS_LITTLE = re.compile(r"sha|md5|hmac|<|==| in | is |not |bool|truthy|with\(|isdigit|count|index")
"""Expressions whose result is not looked for: a hash is no encoding, and that something is so or not is no value."""


def tries(few: int) -> settings:
    """How often a property is tried: so often, or in a long run accordingly."""
    if EXAMPLES:
        return settings(max_examples=max(1, EXAMPLES * few // 150))
    # To shrink a failing example takes longer than a test may.
    return settings(max_examples=few, derandomize=True, phases=[Phase.generate])


# Values. Each has a core that appears nowhere by chance, so whatever is found of it was leaked.

cores = st.text("bcdfghjkmnpqrstvwxzBCDFGHJKMNPQRSTVWXZ23456789", min_size=9, max_size=16)
pins = st.integers(10**9, 10**12).map(str)
marks = st.sampled_from(
    ["'", '"', "\\", "/", "+", "%", "&", "<", "{", "$", "`", ":", " ", "#", "=", ";", "é", "\t"]
)


@st.composite
def broken(draw: st.DrawFn, most: int = 8) -> str:
    """Text without a long run of letters."""
    parts = draw(st.lists(st.tuples(cores, marks), min_size=3, max_size=most))
    return "".join(core[:4] + mark for core, mark in parts) + draw(cores)[:4]


@st.composite
def secrets(draw: st.DrawFn) -> bytes:
    """A sensitive value of one of the many kinds there are."""
    core, other = draw(cores), draw(cores)
    text = draw(
        st.sampled_from([
            lambda: core,
            lambda: draw(broken()),
            lambda: draw(broken(60)) * 3,
            lambda: f"{core}é中😀 {other}ß",
            lambda: f"-----BEGIN KEY-----\n{core}/{other}+\n{other}=\n-----END KEY-----\n",
            lambda: f"\x01{core}\x1b[31m{other}\r\n\t\x7f",
            lambda: f"  {core} \n",
            lambda: draw(pins),
            lambda: json.dumps({"user": core, "pin": int(draw(pins)), "list": [draw(broken())], "é": {"x": other}}),
            lambda: f"user: {core}\nlist: [{other}]\n",
            lambda: f'user = "{core}"\n[x]\ny = "{other}"\n',
            lambda: f"db://us:{quote(draw(broken()), safe='')}@{other.lower()}.example:1/{core}?q={core}",
            lambda: base64.b64encode(draw(broken()).encode()).decode(),
            lambda: draw(broken()).encode().hex(),
            lambda: f"{core},{draw(broken())},{other}",
            lambda: f"/{core}/{other}.conf",
            lambda: f"{core}.{other}.example:{draw(st.integers(1, 65535))}",
            lambda: f"2001:db8::{draw(st.integers(0x1000, 0xFFFF)):x}/{draw(st.integers(48, 128))}",
            lambda: "%" + core + "%s%(a)s{0}{a}",
        ])
    )()  # fmt: skip
    if draw(st.integers(0, 15)) == 15:
        return b"\xff\xfe" + text.encode() + b"\x00\x80"
    return text.encode()


# Expressions.


@dataclass(frozen=True)
class Expression:
    """One, and all those it is made of."""

    text: str
    parts: tuple[str, ...] = ()
    everything: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return self.text


def made(text: str, *inner: Expression) -> Expression:
    return Expression(text, everything=(text, *(each for one in inner for each in one.everything)))


KEYS = ["a", "b", "db/x", "db/y"]
FILTERS = [
    "to_json", "to_json(indent=2)", "to_json(ensure_ascii=true)", "from_json", "to_yaml", "from_yaml", "to_toml",
    "from_toml", "b64encode", "b64decode", "b64url_encode", "b64url_encode(padding=false)", "b64url_decode",
    "hex_encode", "hex_decode", "sha1", "sha256", "sha512", "md5", "hmac_sha256('k')", "ip_host",
    "ip_in('10.0.0.0/8')", "ip_netmask", "ip_prefixlen", "ip_version", "url_query", "count", "ip_network",
    "ip_sort", "shell_quote", "dotenv_quote", "json_string", "yaml_quote", "toml_quote", "hcl_quote",
    "properties_escape", "ini_value", "nginx_quote", "nginx_quote(variables=true)", "haproxy_quote",
    "systemd_quote", "systemd_quote(command=true)", "regex_escape", "nindent", "nindent(2)", "comment",
    "trim_prefix('b')", "trim_suffix('b')", "split", "split(',')", "split('/')|first", "split(',')|last",
    "snake_case", "kebab_case", "camel_case", "basename", "dirname", "to_bool", "ternary('x', 'y')", "strftime",
    "to_datetime", "from_unix", "duration_seconds", "url_parse", "url_host", "url_port", "url_quote",
    "url_quote(safe='/')", "url_unquote", "host_port", "int", "int(base=36)", "float", "abs", "upper", "lower",
    "title", "capitalize", "center(200)", "default('x')", "d('x', true)", "e", "escape", "forceescape",
    "filesizeformat", "first", "last", "format(1)", "indent", "items", "join('-')", "length", "list", "list|join",
    "map('upper')|list", "map('b64encode')|join(',')", "max", "min", "pprint", "reverse", "round", "random",
    "replace('b', 'c')", "replace('', '_')", "safe", "select|list", "slice(3)|list", "batch(5)|list", "sort",
    "string", "striptags", "sum", "tojson", "trim", "truncate(12)", "truncate(300)", "unique|join", "urlencode",
    "urlize", "wordcount", "wordwrap(6)", "xmlattr", "attr('upper')", "dictsort", "groupby('x')", "nosuchfilter",
    "map(attribute='x')|list", "selectattr('x')|list", "string|list|batch(3)|map('join')|join('.')",
    "redis_quote", "postgresql_quote", "pg_hba_quote", "php_quote", "spring_quote", "connection_string_quote",
    "bare_word", "bare_word(also='/+=')", "identifier", "one_of('x', 'y')", "whole_number", "port", "host",
    "host(wildcard=true)", "address", "address(80)", "url_path",
]  # fmt: skip
ENCODERS = [
    "b64encode", "b64url_encode", "b64url_encode(padding=false)", "hex_encode", "to_json", "to_json(ensure_ascii=true)",
    "json_string", "tojson", "url_quote", "url_quote(safe='/')", "urlencode", "shell_quote", "yaml_quote", "toml_quote",
    "hcl_quote", "properties_escape", "haproxy_quote", "systemd_quote", "regex_escape", "e", "upper", "lower", "title",
    "reverse", "trim", "snake_case", "kebab_case", "comment", "nindent", "replace('b', 'c')", "replace('-', '_')",
    "to_yaml", "pprint", "center(99)", "string", "indent", "wordwrap(9)", "truncate(30)", "list|join('-')", "list|last",
    "forceescape", "nginx_quote(variables=true)", "b64encode|wordwrap(20)", "split(',')|join(';')",
    "redis_quote", "postgresql_quote", "pg_hba_quote", "php_quote", "spring_quote", "connection_string_quote",
]  # fmt: skip
METHODS = [
    "upper()", "lower()", "swapcase()", "title()", "strip()", "split()", "split(',')", "rsplit('/', 1)", "splitlines()",
    "partition(':')", "replace('b', '')", "encode()", "encode('utf-16')", "center(100, '*')", "zfill(50)", "format(1)",
    "removeprefix('b')", "join(['1', '2'])", "translate({98: 'x'})", "casefold()", "expandtabs()", "nosuch()",
    "startswith('b')", "index('zz')", "count('b')", "isdigit()", "decode()", "hex()", "user", "list", "nosuch",
    "keys()", "values()|list", "items()|list", "x.y", "password", "host", "year", "__class__", "__class__.__mro__",
]  # fmt: skip
CALLS = [
    "vault({})", "vault({}, default='x')", "values({})", "values({}, default='')", "values('dir/' ~ {})",
    "values.items({})", "values.dirs({})", "values.bytes({})", "values.json({}, default=1)", "env({})",
    "env({}, default='')", "seq(1, {})", "range({})", "now({})", "dict(a={}).a", "namespace(a={}).a", "{{}}[{}]",
    "{{'k': {}}}", "{{'k': {}}}.k", "{{'k': {}}}|items|list", "[{}, 1]", "({})()", "not {}", "-{}",
    "{{'k': {}}}|url_query", "{} is ip", "{} is divisibleby(3)", "{} is nosuchtest", "{}|sort|{}", "values[{}]",
    "{} in values", "vars[{}]", "values({}) ~ vault('none')", "vault.yaml({})", "cycler({}).next()", "joiner({})",
    "lipsum({})",
]  # fmt: skip
CUTS = ["[1:]", "[:-1]", "[::-1]", "[2:12]", "[0]", "[-1]", "['x']", "['user']", "[99999]"]
OPERATORS = ["~", "~", "~", "+", "%", "*", "in", "==", "and", "or", "<", "/", "**", "if 1 else"]


def sources(sync_items: bool) -> list[str]:
    each = ["each.key", "each.value", "each.value", "each.nosuch", "each"] if sync_items else []
    return [
        *(f"vault('{key}')" for key in KEYS * 8), "vault('db/none', default='x')",
        "vault.bytes('a')", "vault.json('b')", "vault.yaml('db/x')", "vault.get('b')", "vault.items()",
        "vault.items()|first|last", "vault.children('db')", "vault.dirs()", "mixed('one/password')",
        "mixed('one/host')", "mixed.items()", "'text'", "'%s'", "'%d'", "'{}'", "7", "vars.name", "vault",
        "vault('none')", "none",
        "nosuch", "[1, 2]", "{'k': 1}", "loop.index", *each,
    ]  # fmt: skip


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4, *, items: bool = False) -> Expression:
    """Something between {{ and }}, more or less likely to be right."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return made(draw(st.sampled_from(sources(items))))
    one = draw(expressions(depth - 1, items=items))
    way = draw(st.integers(0, 15))
    if way > 8:
        return made(f"({one})|{draw(st.sampled_from(ENCODERS))}", one)
    if way <= 2:
        return made(f"({one})|{draw(st.sampled_from(FILTERS))}", one)
    if way in (3, 4):
        return made(f"({one}).{draw(st.sampled_from(METHODS))}", one)
    if way == 5:
        return made(f"({one}){draw(st.sampled_from(CUTS))}", one)
    if way == 6:
        return made(draw(st.sampled_from(CALLS)).format(one, one), one)
    two = draw(expressions(depth - 1, items=items))
    return made(f"(({one}) {draw(st.sampled_from(OPERATORS))} ({two}))", one, two)


# Templates.

STATEMENTS = [
    "{{{{ {0} }}}}", "x = {{{{ {0} }}}}", "{{{{ {0} }}}},{{{{ {1} }}}};", "password = {{{{ {0} }}}}",
    'password: "{{{{ {0} }}}}" # {{{{ {1} }}}}', "a{{{{ {0} }}}}b{{{{ {1} }}}}",
    "{{% set x = {0} %}}\nx={{{{ x }}}}",
    "{{% set x %}}{{{{ {0} }}}}{{{{ {1} }}}}{{% endset %}}\n{{{{ x|b64encode }}}}",
    "{{% for i in {0} %}}\n{{{{ loop.index }}}}={{{{ i }}}}\n{{% endfor %}}",
    "{{% if {0} %}}\nyes\n{{% else %}}\nno {{{{ {1} }}}}\n{{% endif %}}", "{{% include {0} %}}",
    "{{% include {0} ignore missing %}}", "{{% import {0} as m %}}{{{{ m.x }}}}", "{{% extends {0} %}}",
    "{{% from {0} import x %}}",
    "{{% macro m(a) %}}<{{{{ a }}}}>{{% endmacro %}}\n{{{{ m({0}) }}}} {{{{ m({1})|b64encode }}}}",
    "{{% filter upper %}}{{{{ {0} }}}}{{% endfilter %}}",
    "{{% filter b64encode %}}user:{{{{ {0} }}}}{{% endfilter %}}", "{{% do {0} %}}",
    "{{% with a = {0} %}}{{{{ a }}}}{{% endwith %}}", "{{% block b %}}{{{{ {0} }}}}{{% endblock %}}",
    "{{% for a, b in {0} %}}{{{{ a }}}}={{{{ b }}}}\n{{% endfor %}}",
    "{{% for c in {0} %}}{{{{ c|upper }}}}{{% endfor %}}",
    "{{% macro m() %}}{{{{ caller({0}) }}}}{{% endmacro %}}{{% call(a) m() %}}{{{{ a }}}}{{% endcall %}}",
    "{{{{ values('none') }}}} {{{{ values({0}) }}}} {{{{ values({1}) }}}}", "# only text",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A sync, all the expressions in it, and its own text: what of its result is certainly no secret."""

    sync: Mapping[str, Any]
    expressions: tuple[str, ...]
    text: str


@st.composite
def texts(draw: st.DrawFn, *, items: bool = False) -> tuple[str, tuple[str, ...]]:
    """A template, and the expressions in it."""
    found: list[str] = []
    lines = []
    for statement in draw(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=3)):
        one = draw(expressions(draw(st.sampled_from([1, 2, 4])), items=items))
        two = draw(expressions(draw(st.integers(0, 2)), items=items))
        lines.append(statement.format(one, two))
        found += [*one.everything, *(two.everything if "{1}" in statement else ())]
    return "[settings]\n" + "\n".join(lines) + "\nport = 80\n", tuple(dict.fromkeys(found))


FORMATS = ["dotenv", "json", "yaml", "toml", "ini", "properties", "tfvars", "shell"]
REFERENCES = [
    *(f"vault:{key}" for key in KEYS),
    "mixed:one/password",
    "mixed:one/host",
    "vault:none",
    "values:name",
]
ITEMS = ["vault.items()", "vault.children('db')", "vault.json('b')", "mixed.items()", "vault('a').split(',')",
         "vault('a')|list", "[vault('b'), 'x']", "values.items()", "vault.items()|map('last')",
         "{vault('a'): 1}"]  # fmt: skip
PATHS = ["out/{{ each.key }}", "out/{{ each.value }}", "out/x{{ each.key|upper }}.conf", "{{ each.key|b64encode }}",
         "o/{{ each.value|hex_encode }}", "{{ each.key }}-{{ each.value|url_quote }}",
         "o/{{ each.key|sha256 }}"]  # fmt: skip


@st.composite
def maps(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A data map, and the expressions in it."""
    data: dict[str, Any] = {"HOST": "values:name", "PORT": 5432}
    found: list[str] = []
    for number in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            data[f"KEY{number}"] = draw(st.sampled_from(REFERENCES))
        else:
            one = draw(expressions(3))
            found += one.everything
            data[f"KEY{number}"] = {"template": f"a{{{{ {one} }}}}"}
    return data, tuple(dict.fromkeys(found))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A sync of any kind."""
    kind = draw(st.sampled_from(["template", "template", "data", "items", "directory"]))
    if kind == "data":
        data, found = draw(maps())
        to = {"file": {"path": "out", "format": draw(st.sampled_from(FORMATS))}}
        return Case({"data": data, "to": to}, found, str(data))
    text, found = draw(texts(items=kind == "items"))
    if kind == "template":
        to = {"file": {"path": "out", "backup": draw(st.booleans())}}
        return Case({"template": {"inline": text}, "to": to}, found, text)
    if kind == "directory":
        return Case(
            {"templates": {"a": {"inline": text}, "b": "plain.j2"}, "to": {"directory": "out"}}, found, text
        )
    if draw(st.booleans()):
        text, found = "{{ each.value }}\n", ()  # which seldom fails, so that there are paths
    items, path = draw(st.sampled_from(ITEMS)), draw(st.sampled_from(PATHS))
    sync = {"for_each": items, "template": {"inline": text}, "to": path}
    return Case(
        sync, (items, *(each.strip() for each in re.findall(r"{{(.+?)}}", path)), *found), text + path
    )


@st.composite
def stores(draw: st.DrawFn) -> dict[str, dict[str, bytes]]:
    """Source -> path -> value. Of `vault` all is sensitive, of `mixed` what is called password, of `values` nothing."""
    return {
        "vault": {key: draw(secrets()) for key in KEYS},
        "mixed": {"one/password": draw(secrets()), "one/host": b"one.example", "two/host": b"two.example"},
        "values": {"name": b"shop", "dir/one": b"1"},
    }
