"""An error says what is wrong and where, and never what the value was: it may be a secret."""

# ruff: noqa: E501 - a table's rows stay on one line
from __future__ import annotations

import traceback

import pytest

from confsync.errors import RenderError
from confsync.render.recorder import Recorder, recording

SECRET = "hunter2"


@pytest.mark.parametrize(("template", "message"), [
    ("{{ '{hunter2'|from_json }}", r"from_json: not valid JSON at line 1 column 2"),
    ("{{ '[hunter2, NaN]'|from_json }}", r"from_json: not valid JSON at line 1 column 2"),
    ("{{ '[NaN]'|from_json }}", r"from_json: there is a number that is out of range"),
    ("{{ 'a: [hunter2'|from_yaml }}", r"from_yaml: not valid YAML at line \d column \d"),
    ("{{ '2026-99-99'|from_yaml }}", r"from_yaml: nested too deep, or there is a value that is out of range"),
    ("{{ 'a = hunter2'|from_toml }}", r"from_toml: not valid TOML at line 1, column 5"),
    ("{{ 'a = \"hunter2'|from_toml }}", r"from_toml: not valid TOML at"),
    ("{{ {'a': none}|to_toml }}", r"to_toml: there is a none"),
    ("{{ ['hunter2']|to_toml }}", r"to_toml takes a mapping"),
    ("{{ [bytes]|to_json }}", r"to_json cannot take 3 bytes \(b64encode it\)"),
    ("{{ 'hunter2!'|b64decode }}", r"b64decode: not valid base64"),
    ("{{ 'hunter2'|hex_decode }}", r"hex_decode: not valid hexadecimal"),
    ("{{ bytes|shell_quote }}", r"shell_quote takes text, and these 3 bytes are not UTF-8 \(byte 0\)"),
    ("{{ ['hunter2']|shell_quote }}", r"shell_quote takes text, not a list of 1 \(for each item of a list: \|map\('shell_quote'\)\)"),
    ("{{ none|shell_quote }}", r"shell_quote takes text, not none"),
    ("{{ 'hunter2\\0'|shell_quote }}", r"shell_quote cannot take this text of 8 characters: it has a NUL character"),
    ("{{ 'hunter2\\r'|dotenv_quote }}", r"dotenv_quote cannot take this text of 8 characters: it has a carriage return"),
    ("{{ '$hunter2'|nginx_quote }}", r"it has a \$, for which nginx has no escape; .* variables=true"),
    ("{{ 'hunter2\\n'|ini_value }}", r"it has a line break"),
    ("{{ 'hunter2\\x01'|systemd_quote }}", r"it has a control character"),
    ("{{ 'hunter2'|to_bool }}", r"to_bool takes true, yes, .* not text of 7 characters"),
    ("{{ 'hunter2'|ip_host }}", r"ip_host takes an address .* not text of 7 characters"),
    ("{{ '10.0.0.1'|ip_in('hunter2') }}", r"ip_in takes an address"),
    ("{{ 'hunter2'|ip_sort }}", r"ip_sort takes a list, not text of 7"),
    ("{{ 'hunter2'|url_parse }}", r"url_parse: the URL has no scheme"),
    ("{{ 'http://hunter2:port/'|url_port }}", r"url_port: not a valid URL"),
    ("{{ 'http://[hunter2/'|url_host }}", r"url_host: not a valid URL"),
    ("{{ 'postgres://hunter2/'|url_port }}", r"url_port: the URL has no port \(give the default: url_port\(5432\)\)"),
    ("{{ 'hunter2:x'|host_port }}", r"host_port: the port is not a number"),
    ("{{ 'hunter2:99999'|host_port }}", r"host_port: the port is beyond 65535"),
    ("{{ 'hunter2'|to_datetime }}", r"to_datetime takes a time such as .* not text of 7"),
    ("{{ 'hunter2'|from_unix }}", r"from_unix takes seconds since 1970"),
    ("{{ 1e300|from_unix }}", r"from_unix takes seconds since 1970"),
    ("{{ 'hunter2'|duration_seconds }}", r"duration_seconds takes a duration such as 90s"),
    ("{{ now('Nowhere/hunter2') }}", r"now: no time zone of that name is installed"),
    ("{{ '../../etc/passwd'|from_unix }}", r"from_unix"),
    ("{{ now('../../etc/passwd') }}", r"no time zone of that name"),
    ("{{ seq('hunter2', 1) }}", r"seq takes a whole number, not text of 7"),
    ("{{ 'a'|split('') }}", r"the separator must not be empty"),
])  # fmt: skip
def test_the_error_names_the_problem_and_not_the_value(render, template, message):
    with pytest.raises(RenderError, match=message) as caught:
        render(template, bytes=b"\xff\xfe\xfd")

    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["ip_host", "url_host", "to_datetime", "duration_seconds"])
def test_the_librarys_error_that_quotes_the_value_is_not_shown_as_the_cause(render, name):
    with pytest.raises(RenderError) as caught:
        render("{{ value|" + name + " }}", value=f"http://[{SECRET}/")

    printed = "".join(traceback.format_exception(caught.value))
    assert SECRET not in printed


def test_a_name_in_an_error_is_hidden_once_a_sensitive_value_was_read(render):
    with pytest.raises(RenderError, match="'CONFSYNC_HUNTER' is not set"):
        render("{{ env('CONFSYNC_HUNTER') }}")
    recorder = Recorder()
    recorder.sensitive = True

    with recording(recorder), pytest.raises(RenderError, match="a name of 15 characters is not set"):
        render("{{ env('CONFSYNC_HUNTER') }}")
