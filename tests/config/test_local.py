"""`local` and `keys` in a configuration: what is mistyped is an error, for a rule that names nothing hides nothing."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.config.loading import load_config
from confsync.config.patterns import parse_pattern
from confsync.errors import ConfigError

HEAD = """\
sources:
  values: {backend: file, path: values.yaml}
  vault: {backend: vault, address: "http://127.0.0.1:1"}
environments:
  dev: {values: dev}
  prod: {values: prod}
"""


def load(directory, text):
    path = directory / "confsync.yaml"
    path.write_text(HEAD + text)
    return load_config(path).config


def test_what_may_come_down_and_what_values_are(tmp_path):
    config = load(
        tmp_path,
        """\
local:
  prod: {allow: ["api/*"], deny: ["db/*", "vault:payment#*"], substitute: {db/host: localhost, db/port: 5433}}
  dev: {}
keys:
  db/host: {about: the primary, owner: team-db, type: host, required: [prod], variable: DATABASE_HOST}
  "upstream/*": {type: address}
""",
    )

    assert config.local["prod"].substitute == {"db/host": "localhost", "db/port": 5433}
    assert (config.local["dev"].allow, config.local["dev"].deny) == (None, [])
    assert config.keys["db/host"].required_in("prod")
    assert not config.keys["db/host"].required_in("dev")


WRONG = {
    # a name that is not there
    'local: {prdo: {deny: ["db/*"]}}': (7, "there is no environment 'prdo'; did you mean 'prod'?"),
    'local: {prod: {deny: ["valt:db"]}}': (7, "there is no source 'valt'; did you mean 'vault'?"),
    'local: {prod: {deny: ["*:db"]}}': (7, "there is no source '*'"),
    'local: {prod: {deny: ["my-store:db"]}}': (7, "there is no source 'my-store'"),
    'local: {prod: {allow: ["valt:"]}}': (7, "there is no source 'valt'"),
    "local: {prod: {substitute: {'valt:db#x': y}}}": (7, "there is no source 'valt'"),
    "keys: {'valt:db': {about: x}}": (7, "there is no source 'valt'"),
    "keys: {db: {required: [prdo]}}": (7, "there is no environment 'prdo'; did you mean 'prod'?"),
    'local: {prod: {denied: ["db/*"]}}': (7, "unknown field 'denied'; did you mean 'deny'?"),
    "keys: {db: {abuot: x}}": (7, "unknown field 'abuot'; did you mean 'about'?"),
    # a glob where it is one key that is meant
    "local: {prod: {substitute: {'db/*': x}}}": (7, "'db/*' names several keys, and this is for one"),
    "local: {prod: {substitute: {db/: x}}}": (7, "'db/' names several keys"),
    "local: {prod: {substitute: {'values:': x}}}": (7, "'values:' names several keys"),
    "keys: {'db/*': {variable: DB}}": (7, "'db/*' names several keys"),
    # nothing, or not what it should be
    'local: {prod: {deny: [""]}}': (7, "a pattern names keys"),
    'local: {prod: {deny: ["/"]}}': (7, "a pattern names keys"),
    'local: {prod: {deny: [" db"]}}': (7, "begins or ends with a blank"),
    'local: {prod: {deny: ["!db"]}}': (7, "! excludes nothing here"),
    'local: {prod: {deny: ["{db,vault}/*"]}}': (7, "no alternatives in braces"),
    "local:\n  prod:\n    allow:\n": (
        9,
        "allow: there is nothing under it; write [] to let nothing come down",
    ),
    "local: {prod: {deny: }}": (7, "deny: a list belongs here: [a, b]"),
    "local: {prod: {deny: db/*}}": (7, "deny: a list belongs here: [a, b]"),
    "local: {prod: {deny: [8080]}}": (7, "text belongs here"),
    "local: {prod: {deny: [[db]]}}": (7, "text belongs here"),
    "local: {prod: {deny: [~]}}": (7, "text belongs here"),
    "local: {prod: {substitute: {db/host: }}}": (7, "substitute"),
    "local: {prod: {substitute: {db/host: [a]}}}": (7, "substitute"),
    "local: {prod: {substitute: [db/host]}}": (7, "substitute: a mapping belongs here"),
    "local: {prod: }": (7, "prod: a mapping belongs here"),
    "local: {prod: deny}": (7, "prod: a mapping belongs here"),
    "local: ": (7, "local: a mapping belongs here"),
    "local: [prod]": (7, "local: a mapping belongs here"),
    "local: {prod: {deny: [a]}, prod: {deny: []}}": (7, "'prod' is written twice"),
    "keys: ": (7, "keys: a mapping belongs here"),
    "keys: {db: {}}": (7, "say something of it"),
    "keys: {db: }": (7, "a mapping belongs here"),
    'keys: {"": {about: x}}': (7, ""),
    "keys: {db: {variable: 9A}}": (7, "variable: string should match pattern"),
    'keys: {db: {variable: "A\\n"}}': (7, "variable: string should match pattern"),
    "keys: {db: {type: hots}}": (7, "type: input should be"),
    "keys: {db: {one_of: []}}": (7, "one_of"),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_with_its_place(tmp_path, text):
    line, says = WRONG[text]
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, text + "\n")

    assert says in str(raised.value)
    assert str(raised.value).startswith(f"{tmp_path}/confsync.yaml:{line}:")


def test_everything_wrong_is_told_at_once(tmp_path):
    with pytest.raises(ConfigError) as raised:
        load(
            tmp_path,
            'local: {prod: {deny: ["a:b", "c:d"], substitute: {"*": x}}, nope: {}}\nkeys: {"e:f": {about: x}}\n',
        )

    assert len(str(raised.value).splitlines()) == 5


def test_rules_may_stand_in_conf_d_and_are_never_given_twice(tmp_path):
    more = tmp_path / "conf.d"
    more.mkdir()
    (more / "policy.yaml").write_text('local: {prod: {deny: ["valt:db"]}}\n')
    with pytest.raises(ConfigError, match=r"conf\.d/policy\.yaml:1:23: there is no source 'valt'"):
        load(tmp_path, "")
    (more / "policy.yaml").write_text("local: {prod: {deny: [db]}}\n")
    assert load(tmp_path, "local: {dev: {deny: [x]}}\n").local["prod"].deny == ["db"]
    with pytest.raises(ConfigError, match="local: 'prod' was already given at"):
        load(tmp_path, "local: {prod: {deny: [x]}}\n")


@pytest.mark.parametrize("section", ["local: ", "local: nonsense"])
def test_a_section_that_is_none_hides_no_other(tmp_path, section):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.yaml").write_text("local: {prod: {deny: [db]}}\n")
    with pytest.raises(ConfigError):
        load(tmp_path, section + "\n")


@pytest.mark.parametrize("unreadable", ["conf.d", "conf.d/policy.yaml"])
def test_what_cannot_be_read_lets_nothing_down(tmp_path, unreadable):
    (tmp_path / "conf.d").mkdir()
    path = tmp_path / unreadable
    if path.is_dir():
        path.rmdir()
        path.symlink_to("conf.d")  # to itself: not even root can read it
    else:
        path.symlink_to("policy.yaml")

    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, "")

    assert os.path.islink(path)


@pytest.mark.parametrize(
    ("text", "source", "glob", "wild"),
    [
        ("db/host", None, "db/host", False),
        ("values:db/host", "values", "db/host", False),
        ("values:", "values", "*", True),
        ("db/", None, "db/*", True),
        ("values:/", "values", "/*", True),
        ("*", None, "*", True),
        ("a[0]", None, "a[0]", True),
        ("a[[]0]", None, "a[[]0]", False),
        ("a[*]b", None, "a[*]b", False),
        ("pki/issue?common_name=a.test", None, "pki/issue?common_name=a.test", False),
        ("urls/http://x", None, "urls/http://x", False),
        ("db#a:b", None, "db#a:b", False),
        ("values:a:b", "values", "a:b", False),
        ("config/{app}", None, "config/{app}", False),
    ],
)
def test_a_pattern_and_its_source(text, source, glob, wild):
    pattern = parse_pattern(text, ["values"])

    assert (pattern.source, pattern.glob, pattern.wild) == (source, glob, wild)


def test_the_one_key_a_pattern_names():
    assert parse_pattern("a[[]0]/[*]/[?]", []).key == "a[0]/*/?"


@given(st.text(min_size=1))
def test_any_text_is_a_pattern_or_an_error_that_says_why(text):
    try:
        pattern = parse_pattern(text, ["values"])
    except ValueError as exc:
        reason = str(exc)
    else:
        reason = pattern.glob

    assert reason
