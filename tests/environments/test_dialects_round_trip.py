"""Every value is refused by name, or what reads the format gets exactly it: by its rules, and in the real program."""

from __future__ import annotations

import io
import json
import re
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dotenv
import pytest
import yaml
from environments.readers import files, programs, services, shells
from environments.values import NASTY, TEXTS, random_texts, variables
from hypothesis import given, settings
from hypothesis import strategies as st

from confsync.environments.dialects import DIALECTS, FORMATS, write
from confsync.errors import RenderError

Reader = Callable[[str], dict[str, str]]


def python_dotenv(text: str) -> dict[str, str]:
    """python-dotenv, in this process; the text as a file has it."""
    return {name: value or "" for name, value in dotenv.dotenv_values(stream=io.StringIO(text, None)).items()}


RULES: dict[tuple[str, str | None], list[Reader]] = {
    ("dotenv", None): [python_dotenv],
    ("dotenv", "common"): [python_dotenv, files.node, files.compose, shells.posix],
    ("dotenv", "python-dotenv"): [python_dotenv],
    ("dotenv", "node"): [files.node],
    ("dotenv", "compose"): [files.compose],
    ("dotenv", "shell"): [shells.posix],
    ("shell", None): [shells.posix],
    ("fish", None): [shells.fish],
    ("powershell", None): [shells.powershell, partial(shells.powershell, encoding="cp1252")],
    ("json", None): [json.loads],
    ("yaml", None): [yaml.safe_load],
    ("toml", None): [tomllib.loads],
    ("docker", None): [files.docker],
    ("github", None): [services.github, partial(services.github, windows=True)],
    ("gitlab", None): [services.gitlab],
    ("systemd", None): [files.systemd, shells.posix],
    ("direnv", None): [shells.posix],
    ("vscode", None): [services.vscode],
}

REAL: list[tuple[str, str | None, Callable[[str, Path], dict[str, str]]]] = [
    *[
        (form, dialect, partial(programs.shell, shell))
        for form, dialect in (("shell", None), ("dotenv", "shell"), ("dotenv", "common"), ("systemd", None))
        for shell in ("bash", "dash", "zsh")
    ],
    ("fish", None, programs.fish),
    ("json", None, programs.jq),
    ("docker", None, programs.docker),
    ("systemd", None, programs.systemd),
    ("direnv", None, programs.direnv),
    ("dotenv", None, programs.python_dotenv),
    ("dotenv", "common", programs.python_dotenv),
    ("dotenv", "common", programs.node),
    ("dotenv", "node", programs.node),
]  # fmt: skip

COMMON_REFUSES = re.compile(r"\r|\\\\|\\$|\$\{.*\}|'.*[\"$`\\]|[\"$`\\].*'", re.DOTALL)


def node_refuses(value: str) -> bool:
    quoted = "'" in value and "`" in value and ('"' in value or "\\n" in value)
    return "\r" in value or (quoted and ("\n" in value or "#" in value or value[0] in "'\"`"))


REFUSED: dict[tuple[str, str | None], Callable[[str], object]] = {
    ("dotenv", "common"): COMMON_REFUSES.search,
    ("dotenv", "node"): node_refuses,
    ("docker", None): lambda value: "\n" in value or value.endswith("\r"),
    ("github", None): lambda value: value.endswith("\r"),
    ("gitlab", None): lambda value: value != value.strip(" \t\v\f") or any(char in value for char in "\n\r$"),
    ("systemd", None): lambda value: "\ufeff" in value,
    ("vscode", None): lambda value: re.search(r"\$\{.*\}", value, re.DOTALL),
}
"""Which of the nasty values cannot be held; all others hold them all."""


def holds(form: str, dialect: str | None, value: str) -> bool:
    try:
        write(form, variables([value]), dialect=dialect)
    except RenderError:
        return False
    return True


def test_every_format_and_dialect_has_a_reader_here():
    assert {form for form, _ in RULES} == set(FORMATS)
    assert {dialect for form, dialect in RULES if form == "dotenv"} == {None, *DIALECTS}


@pytest.mark.parametrize(("form", "dialect"), RULES)
@settings(max_examples=80)
@given(values=st.lists(TEXTS, min_size=1, max_size=4))
def test_any_text_is_read_back_exactly_or_refused(form, dialect, values):
    wanted = variables([value for value in values if holds(form, dialect, value)] or ["x"])
    text = write(form, wanted, dialect=dialect).text

    for read in RULES[form, dialect]:
        assert read(text) == {variable.name: variable.value for variable in wanted}


@pytest.mark.parametrize(("form", "dialect"), RULES)
def test_no_more_is_refused_than_the_rules_demand(form, dialect):
    refuses = REFUSED.get((form, dialect), lambda _: False)

    assert [one for one in NASTY if not holds(form, dialect, one)] == [one for one in NASTY if refuses(one)]


@pytest.mark.parametrize(("form", "dialect", "read"), REAL)
def test_the_real_reader_gets_exactly_what_was_written(form, dialect, read, tmp_path):
    values = [value for value in (*NASTY, *random_texts(400, seed=5)) if holds(form, dialect, value)]
    wanted = variables(values)

    found = read(write(form, wanted, dialect=dialect).text, tmp_path)

    assert {variable.name: found.get(variable.name) for variable in wanted} == {
        variable.name: variable.value for variable in wanted
    }
