"""Making any text one value in somebody else's syntax.

Each either gives what the reader reads back exactly, or refuses; none lets a value become syntax.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from confsync.errors import RenderError
from confsync.render.filters.values import allow, text

_SHELL_SAFE = re.compile(r"[A-Za-z0-9@%+:,./_-]+")
_LONGEST_NGINX = 4000
_SYSTEMD_REFUSED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def shell_quote(value: object) -> str:
    """One word for a POSIX shell: `{{ 'a b'|shell_quote }} → 'a b'`."""
    from confsync.render.formats.shell_format import quote

    word = text(value, "shell_quote")
    return word if _SHELL_SAFE.fullmatch(word) else _quoted(quote, word, "shell_quote")


def dotenv_quote(value: object) -> str:
    """The value of a line in a .env file, as all its readers read it: `{{ 'a b'|dotenv_quote }} → 'a b'`."""
    from confsync.render.formats.dotenv_format import quote

    return _quoted(quote, text(value, "dotenv_quote"), "dotenv_quote")


def json_string(value: object) -> str:
    r"""A JSON string with its quotes: `{{ 'say "hi"'|json_string }} → "say \"hi\""`."""
    import json

    return _quoted(lambda it: json.dumps(it, ensure_ascii=False), text(value, "json_string"), "json_string")


def yaml_quote(value: object) -> str:
    r"""A YAML scalar on one line, text to every reader: `{{ 'no: \n'|yaml_quote }} → "no: \n"`."""
    from confsync.render.formats.yaml_format import quote

    return _quoted(quote, text(value, "yaml_quote"), "yaml_quote")


def toml_quote(value: object) -> str:
    r"""A TOML string on one line: `{{ 'C:\\x'|toml_quote }} → "C:\\x"`."""
    from confsync.render.formats.toml_format import quote

    return _quoted(quote, text(value, "toml_quote"), "toml_quote")


def hcl_quote(value: object) -> str:
    """A string in Terraform, Nomad or Packer, never expanded: `{{ 'a ${b}'|hcl_quote }} → "a $${b}"`."""
    from confsync.render.formats.tfvars_format import quote

    return _quoted(quote, text(value, "hcl_quote"), "hcl_quote")


def properties_escape(value: object, key: bool = False) -> str:
    r"""A value (or key) in Java properties: `{{ 'a b=é'|properties_escape(key=true) }} → a\ b\=\u00e9`."""
    from confsync.render.formats.properties_format import escape_key, escape_value

    return _quoted(escape_key if key else escape_value, text(value, "properties_escape"), "properties_escape")


def ini_value(value: object) -> str:
    """Text as it is, if an INI file can hold it; INI has no escapes: `{{ 'a = b'|ini_value }} → a = b`."""
    from confsync.render.formats.ini_format import check_value

    return _quoted(check_value, text(value, "ini_value"), "ini_value")


def nginx_quote(value: object, variables: bool = False) -> str:
    r"""One parameter in nginx's configuration: `{{ 'a "b";'|nginx_quote }} → "a \"b\";"`.

    nginx has no escape for `$`, which most directives take for a variable: it is refused, unless `variables`
    says that variables are meant, or that the directive takes none.
    """
    return _quoted(lambda it: _nginx(it, variables), text(value, "nginx_quote"), "nginx_quote")


def haproxy_quote(value: object) -> str:
    r"""One argument for HAProxy, no variable expanded: `{{ 'a $b'|haproxy_quote }} → "a \$b"`."""
    return _quoted(_haproxy, text(value, "haproxy_quote"), "haproxy_quote")


def systemd_quote(value: object, command: bool = False) -> str:
    r"""One word of Environment= or (`command`) Exec…= in a unit: `{{ 'A=5 %'|systemd_quote }} → "A=5 %%"`."""
    return _quoted(lambda it: _systemd(it, command), text(value, "systemd_quote"), "systemd_quote")


def redis_quote(value: object) -> str:
    r"""One argument in redis.conf: `{{ 'a "b'|redis_quote }} → "a \"b"`.

    As `sdssplitargs` of Redis reads it: between double quotes there are \", \\, \n, \r, \t, \b, \a and \xHH.
    """
    return _quoted(_redis, text(value, "redis_quote"), "redis_quote")


def postgresql_quote(value: object) -> str:
    """A value in postgresql.conf: `{{ "it's"|postgresql_quote }} → 'it''s'`.

    As the server's guc-file.l reads it: `''` is a quote, and a backslash escapes as it does in C.
    """
    return _quoted(_postgresql, text(value, "postgresql_quote"), "postgresql_quote")


def pg_hba_quote(value: object) -> str:
    """A field of pg_hba.conf that is no keyword: `{{ 'all'|pg_hba_quote }} → "all"`.

    Quotes take the meaning from keywords, commas, `+` and `@`, and know no escapes but a doubled one. A name that
    begins with a slash is a regular expression all the same.
    """
    return _quoted(_pg_hba, text(value, "pg_hba_quote"), "pg_hba_quote")


def php_quote(value: object) -> str:
    r"""A string in PHP, in which nothing is expanded: `{{ "it's $a"|php_quote }} → 'it\'s $a'`."""
    escapes = {"\\": "\\\\", "'": "\\'"}
    return _quoted(lambda it: f"'{_escape(it, escapes)}'", text(value, "php_quote"), "php_quote")


def spring_quote(value: object) -> str:
    """A value in Spring's application.yml: `{{ 'no: $5'|spring_quote }} → "no: $5"`.

    Spring itself expands `${…}` in a value, and evaluates `#{…}` where `@Value` takes it. Not all versions have an
    escape, so both are refused.
    """
    return _quoted(_spring, text(value, "spring_quote"), "spring_quote")


def connection_string_quote(value: object) -> str:
    """A value in a connection string of .NET: `{{ 'a;"b'|connection_string_quote }} → "a;""b"`."""
    return _quoted(_connection_string, text(value, "connection_string_quote"), "connection_string_quote")


def regex_escape(value: object) -> str:
    r"""Text that a regular expression takes literally: `{{ 'a.b*'|regex_escape }} → a\.b\*`."""
    return re.escape(text(value, "regex_escape"))


def _quoted(quote: Callable[[str], str], word: str, name: str) -> str:
    allow(4 * len(word))
    try:
        return quote(word)
    except ValueError as exc:
        raise RenderError(f"{name} cannot take this text of {len(word)} characters: {exc}") from exc


def _nginx(word: str, variables: bool) -> str:
    if "\0" in word:
        raise ValueError("it has a NUL character, at which nginx stops reading")
    if "$" in word and not variables:
        raise ValueError(
            "it has a $, for which nginx has no escape; if a variable is meant, say variables=true"
        )
    escaped = _escape(word, {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
    if len(escaped.encode("utf-8", "surrogatepass")) > _LONGEST_NGINX:
        raise ValueError("nginx reads no parameter longer than 4096 bytes")
    return f'"{escaped}"'


def _haproxy(word: str) -> str:
    if "\0" in word:
        raise ValueError("it has a NUL character, at which HAProxy stops reading")
    escapes = {"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return f'"{_escape(word, escapes)}"'


def _systemd(word: str, command: bool) -> str:
    if _SYSTEMD_REFUSED.search(word):
        raise ValueError("it has a control character, which systemd does not allow in an environment")
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "%": "%%"}
    if command:
        escapes["$"] = "$$"
    return f'"{_escape(word, escapes)}"'


def _redis(word: str) -> str:
    if "\0" in word:
        raise ValueError("it has a NUL character, at which most of Redis stops reading")
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return f'"{_escape(word, escapes)}"'


def _postgresql(word: str) -> str:
    if "\0" in word:
        raise ValueError("it has a NUL character, at which PostgreSQL stops reading")
    escapes = {"\\": "\\\\", "'": "''", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return f"'{_escape(word, escapes)}'"


def _pg_hba(word: str) -> str:
    if any(char in word for char in "\0\n\r"):
        raise ValueError("it has a line break or NUL character, which no field can hold")
    if word.startswith("/"):
        raise ValueError("it begins with a slash, which makes it a regular expression")
    doubled = word.replace('"', '""')
    return f'"{doubled}"'


def _spring(word: str) -> str:
    from confsync.render.formats.yaml_format import quote

    if "${" in word or "#{" in word:
        raise ValueError("it has ${ or #{, which Spring would expand")
    return quote(word)


def _connection_string(word: str) -> str:
    if "\0" in word:
        raise ValueError("it has a NUL character, which a connection string cannot hold")
    doubled = word.replace('"', '""')
    return f'"{doubled}"'


def _escape(word: str, escapes: dict[str, str]) -> str:
    return word.translate({ord(char): escape for char, escape in escapes.items()})
