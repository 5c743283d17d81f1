"""What a key is called as an environment variable."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.environments.variables.naming import suggested_name, variable_name

LEGAL = re.compile(r"[A-Z_][A-Z0-9_]*")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("api/url", "API_URL"),
        ("db#password", "DB_PASSWORD"),
        ("feature-flags/new.search", "FEATURE_FLAGS_NEW_SEARCH"),
        ("Mixed/Case", "MIXED_CASE"),
        ("a:b c", "A_B_C"),
        ("_x", "_X"),
        ("a//b", "A__B"),
        ("api/path", "API_PATH"),
        ("pathname", "PATHNAME"),
        ("ldap", "LDAP"),
        ("app/env", "APP_ENV"),
        ("node/env", "NODE_ENV"),
        ("environment", "ENVIRONMENT"),
        ("digit", "DIGIT"),
        ("git", "GIT"),
        ("java", "JAVA"),
        ("xdg", "XDG"),
        ("proxy", "PROXY"),
        ("shell/path", "SHELL_PATH"),
    ],
)
def test_separators_are_underscores_and_letters_upper_case(path, name):
    assert variable_name(path) == name


@pytest.mark.parametrize(
    ("path", "says", "suggestion"),
    [
        (
            "9lives",
            "9LIVES is no name for a variable: letters, digits and _ only, and no digit first",
            "_9LIVES",
        ),
        ("2fa/secret", "2FA_SECRET is no name", "_2FA_SECRET"),
        ("größe", "GRÖSSE is no name", "GROSSE"),
        ("straße", "STRASSE is no name", "STRASSE"),
        ("ﬁle", "FILE is no name", "FILE"),
        ("ключ", "КЛЮЧ is no name", "NAME"),
        ("a\nb", r"A\nB is no name", "A_B"),
        ("a\x1b[2J", r"A\x1b[2J is no name", "A_2J"),
        ("a\n", r"A\n is no name", "A_"),
        ("a=b", "A=B is no name", "A_B"),
        ("$(id)", "$(ID) is no name", "_ID_"),
        ("a%23b", "A%23B is no name", "A_23B"),
        ("", " is no name", "NAME"),
    ],
)
def test_what_is_no_name_is_told_with_one_that_is(path, says, suggestion):
    with pytest.raises(ValueError, match=re.escape(says)) as raised:
        variable_name(path)

    assert str(raised.value).isprintable()
    assert suggested_name(path) == suggestion


@pytest.mark.parametrize(
    "path",
    [
        "path",
        "PATH",
        "ifs",
        "ps4",
        "bash/env",
        "prompt.command",
        "prompt",
        "rps1",
        "readnullcmd",
        "random",
        "optind",
        "ld-preload",
        "ld/library/path",
        "dyld:x",
        "shellopts",
        "env",
        "home",
        "tmpdir",
        "cdpath",
        "bash/func",
        "node/options",
        "NODE_PATH",
        "npm/config/script-shell",
        "pythonpath",
        "python/startup",
        "perl5opt",
        "rubyopt",
        "java/tool/options",
        "jdk/java/options",
        "_java/options",
        "classpath",
        "dotnet/startup/hooks",
        "lua/init",
        "pip/index/url",
        "rustc/wrapper",
        "goflags",
        "makeflags",
        "git/ssh/command",
        "git/pager",
        "manpager",
        "editor",
        "visual",
        "lessopen",
        "ssh/askpass",
        "openssl/conf",
        "glibc/tunables",
        "http/proxy",
        "https-proxy",
        "xdg/config/home",
        "confsync/config",
    ],
)
def test_what_shells_and_loaders_act_upon_is_nobodys_name_by_chance(path):
    with pytest.raises(ValueError, match="is a variable that shells and programs act upon"):
        variable_name(path)

    assert variable_name(suggested_name(path)).startswith("APP_")


@given(st.text())
def test_a_name_is_legal_or_an_error_and_what_is_suggested_can_be_used(path):
    try:
        assert LEGAL.fullmatch(variable_name(path))
    except ValueError as exc:
        assert str(exc).isprintable()  # noqa: PT017 - whichever it is
    assert variable_name(suggested_name(path)) == suggested_name(path)
    assert LEGAL.fullmatch(suggested_name(path))
