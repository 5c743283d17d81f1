"""What each format of `confsync env` looks like, what it refuses and how it says so, and what it notes."""

# ruff: noqa: E501, RUF001 - a table's rows stay on one line, and a value is what it is
from __future__ import annotations

import shutil
import subprocess
from functools import partial

import pytest
from environments.readers import programs, services
from environments.values import variables

from confsync.environments.dialects import DIALECTS, FORMATS, LINE_BASED, write
from confsync.environments.variables import Variable
from confsync.errors import ConfigError, RenderError
from confsync.render.formats.shell_format import ZSH_KEEPS

SOME = {"B": "it's $5", "A": "plain"}


@pytest.mark.parametrize(("form", "text"), [
    ("shell", "export A='plain'\nexport B='it'\\''s $5'\n"),
    ("fish", "set -gx A 'plain'\nset -gx B 'it\\'s $5'\n"),
    ("powershell", "$env:A = 'plain'\n$env:B = 'it''s $5'\n"),
    ("json", '{\n  "A": "plain",\n  "B": "it\'s $5"\n}\n'),
    ("yaml", 'A: "plain"\nB: "it\'s $5"\n'),
    ("toml", 'A = "plain"\nB = "it\'s $5"\n'),
    ("docker", "A=plain\nB=it's $5\n"),
    ("systemd", "A=plain\nB=\"it's \\$5\"\n"),
])  # fmt: skip
def test_the_variables_are_written_sorted_by_name(form, text):
    assert write(form, variables(SOME)[::-1]).text == text


@pytest.mark.parametrize(("dialect", "value", "line"), [
    (None, "a b", "A='a b'"), (None, "it's", "A=\"it's\""), (None, "${x}", "A='${:-$}{x}'"), (None, "a\\", "A='a\\\\${:-}'"),
    (None, "it's $5", "A=\"it's $5\""), (None, "it's $(x)", "A=\"it's ${:-$}(x)\""), (None, "it's `x`", "A='`'\nA=\"it's ${A}x${A}\""),
    (None, "a\r\nb", 'A="a\\r\\nb"'), ("node", "it's $5", "A=\"it's $5\""), ("node", "it's \"x\"", "A=`it's \"x\"`"),
    ("node", "it's \"`\\", "A=it's \"`\\"), ("compose", "it's $5 `x`", 'A="it\'s \\$5 \\0140x\\0140"'),
    ("shell", "it's $5", "A='it'\\''s $5'"), ("common", "=x", "A='=x'"), ("common", "a:=x", "A='a:=x'"), ("common", "a=x", "A=a=x"),
])  # fmt: skip
def test_dotenv_is_written_as_its_reader_takes_it(dialect, value, line):
    assert write("dotenv", variables({"A": value}), dialect=dialect).text == f"{line}\n"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_all_readers_take_alike_is_the_same_in_every_dialect(dialect):
    values = variables(["", "plain", "a b", "two\nlines", "it's", '"', "$x"])

    assert write("dotenv", values, dialect=dialect) == write("dotenv", values)
    assert write("dotenv", values).notes == ()


def test_a_name_that_shells_keep_is_not_read_alike():
    with pytest.raises(RenderError, match="UID: bash keeps this variable read-only"):
        write("dotenv", variables({"UID": "1000"}), dialect="common")

    written = write("dotenv", variables({"UID": "1000"}))

    assert written.text == "UID=1000\n"
    assert written.notes == (
        "readers of dotenv differ on UID: written for python-dotenv; or choose another with --dialect",
    )


@pytest.mark.parametrize(("form", "name", "value", "message"), [
    ("json", "A", "hunter2\0", r"A: it has a NUL character, which no environment variable can hold$"),
    ("yaml", "A", "hunter2\ud800", r"A: its value is not valid Unicode$"),
    ("json", "A-B", "x", r"A-B: a variable's name has only letters, digits and _"),
    ("shell", "UID", "hunter2", r"UID: bash keeps this variable read-only.*\(--format json, yaml or systemd can hold it\)"),
    ("shell", "COLUMNS", "hunter2[$(id)]", r"COLUMNS: zsh takes this variable for arithmetic, so it must be a number"),
    ("direnv", "RANDOM", "hunter2", r"RANDOM: shells give this variable values of their own"),
    ("direnv", "DIRENV_DIR", "hunter2", r"DIRENV_DIR: direnv keeps this variable to itself"),
    ("direnv", "PS1", "hunter2", r"PS1: direnv keeps this variable to itself"),
    ("fish", "status", "hunter2", r"status: fish keeps this variable to itself"),
    ("fish", "PATH", "hunter2::b", r"PATH: it has an empty element"),
    ("docker", "A", "hunter2\n", r"A: it has a line break, for which docker's env-file has no quotes and no escape \(--format shell, json or yaml can hold it\)"),
    ("docker", "A", "hunter2\r", r"A: it ends in a carriage return, which docker takes off a line"),
    ("docker", "A", "hunter2" * 10_000, r"A: its line would be longer than the 64 KiB that docker reads"),
    ("systemd", "A", "hunter2\ufdd0", r"A: it has a Unicode noncharacter, and systemd reads nothing of a file with one"),
    ("systemd", "A", "hunter2\U0010ffff", r"A: it has a Unicode noncharacter"),
    ("systemd", "A", "hunter2\ufeff", r"A: it has a byte order mark"),
    ("github", "GITHUB_PATH", "hunter2", r"GITHUB_PATH: GitHub keeps GITHUB_\* and RUNNER_\* to itself"),
    ("github", "runner_temp", "hunter2", r"runner_temp: GitHub keeps"),
    ("github", "Node_Options", "hunter2", r"Node_Options: the runner takes no NODE_OPTIONS from \$GITHUB_ENV"),
    ("github", "A", "hunter2\r", r"A: it ends in a carriage return"),
    ("gitlab", "A", "hunter2\nx", r"A: it has a line break, and a dotenv report has none in a value"),
    ("gitlab", "A", "hunter2 ", r"A: it begins or ends with blanks, which GitLab takes off"),
    ("gitlab", "A", "hunter2$", r"A: it has a \$, which GitLab expands"),
    ("gitlab", "A" * 256, "x", r"A: a name has at most 255 characters"),
    ("vscode", "A", "hunter2${env:HOME}", r"A: it has a \$\{…\}, which VS Code substitutes"),
])  # fmt: skip
def test_what_a_format_cannot_hold_is_refused_by_name_and_rule(form, name, value, message):
    with pytest.raises(RenderError, match=message) as caught:
        write(form, variables({name: value, "FINE": "x"}))

    assert "hunter2" not in str(caught.value)
    assert "FINE" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("form", ["dotenv", "vscode"])
def test_a_long_value_with_what_nothing_ends_is_written_in_no_time(form):
    value = "${" * 300_000

    assert len(write(form, variables({"A": value})).text) > len(value)


def test_every_variable_that_cannot_be_written_is_named_with_its_reason():
    with pytest.raises(RenderError) as caught:
        write("docker", variables({"A": "1\n2", "B": "fine", "C": "3\r", "D": "4\n5"}))

    assert str(caught.value) == (
        "3 variables cannot be written as docker: A, D: it has a line break, for which docker's env-file has no quotes "
        "and no escape; C: it ends in a carriage return, which docker takes off a line "
        "(--format shell, json or yaml can hold them)"
    )


def test_names_that_differ_by_case_are_one_variable_to_windows():
    with pytest.raises(
        RenderError, match=r"'path' cannot be written as powershell: on Windows it is the same .* 'PATH'"
    ):
        write("powershell", variables({"PATH": "a", "path": "b"}))


@pytest.mark.parametrize(("form", "dialect", "message"), [
    ("dotenf", None, "there is no format 'dotenf'; did you mean 'dotenv'"),
    ("dotenv", "nodejs", "there is no dialect 'nodejs' of dotenv; did you mean 'node'"),
    ("json", "node", "a dialect is one of dotenv's, and the format is json"),
])  # fmt: skip
def test_a_call_that_cannot_be_meant_is_a_configuration_error(form, dialect, message):
    with pytest.raises(ConfigError, match=message):
        write(form, [], dialect=dialect)


@pytest.mark.parametrize("form", FORMATS)
def test_no_variables_can_be_written_too(form):
    assert write(form, []).masks == ""


COMMENTS_KNOWN = {
    "dotenv": programs.python_dotenv, "shell": partial(programs.shell, "sh"), "fish": programs.fish, "docker": programs.docker,
    "systemd": programs.systemd, "direnv": programs.direnv,
}  # fmt: skip


@pytest.mark.parametrize(("form", "read"), COMMENTS_KNOWN.items())
def test_the_reader_of_a_line_based_format_knows_comments(form, read, tmp_path):
    text = f"# >>> before\n{write(form, variables(SOME)).text}# <<< after\n"

    assert SOME.items() <= read(text, tmp_path).items()


def test_what_is_line_based_is_tried_here():
    assert {*COMMENTS_KNOWN, "powershell"} == LINE_BASED


def test_dotenv_notes_what_only_python_dotenv_reads():
    written = write("dotenv", variables({"A": "x", "B": "${x}", "C": "a\\"}))

    assert written.notes == (
        "readers of dotenv differ on B, C: written for python-dotenv; or choose another with --dialect",
    )
    assert write("dotenv", variables({"B": "${x}"}), dialect="python-dotenv").notes == ()


def test_dotenv_notes_what_a_shell_could_run():
    written = write("dotenv", variables({"A": "x", "B": "it's $(id)", "C": 'it\'s "`"'}), dialect="node")

    assert written.notes == ("a shell that reads this file could run what is in these values: B, C",)


def test_shell_notes_what_zsh_keeps_to_itself():
    assert write("shell", variables({"A": "x", "USERNAME": "app", "path": "/x"})).notes == (
        "zsh keeps to itself, and bash and sh do not: USERNAME, path",
    )


@pytest.mark.skipif(
    not shutil.which("zsh"), reason="zsh is not installed (Debian, Ubuntu: apt-get install zsh)"
)
def test_zsh_does_keep_them_to_itself(tmp_path):
    kept = ["ARGC", "TTYIDLE", "USERNAME", "ZSH_SUBSHELL", "argv", "fpath", "path", "psvar", "status"]
    assert set(kept) <= ZSH_KEEPS
    for name in [*kept, "FREE"]:
        (tmp_path / name).write_text(write("shell", variables({name: "7seven"})).text)
    script = (
        'for name in *; do ( . ./$name 2>/dev/null; [ "$(printenv $name)" = 7seven ] && echo $name ); done'
    )

    done = subprocess.run(["zsh", "-fc", script], cwd=tmp_path, capture_output=True, text=True)

    assert done.stdout == "FREE\n"


def test_powershell_notes_what_is_empty():
    assert write("powershell", variables({"A": "x", "B": ""})).notes == (
        "before 7.5 PowerShell takes a variable away that is set empty: B",
    )


def test_powershell_is_one_line_of_ascii_for_each_variable():
    written = write("powershell", variables({"A": "Ñ‘; rm x’\r\n😀", "B": "‚x‛"})).text

    assert written.isascii()
    assert [line.split(" ")[0] for line in written.splitlines()] == ["$env:A", "$env:B"]


def test_github_cannot_be_ended_early_by_a_value():
    first = write("github", variables({"A": "1"})).text
    delimiter = first.partition("<<")[2].partition("\n")[0]
    second = write("github", variables({"A": f"1\n{delimiter}\nNODE_OPTIONS=x"})).text

    assert delimiter.startswith("ghadelimiter_")
    assert len(delimiter) >= 40
    assert not second.startswith(f"A<<{delimiter}\n")
    assert list(services.github(second)) == ["A"]


def test_github_masks_what_is_sensitive_whole_and_line_by_line():
    values = {
        "KEY": "-- BEGIN\r\n\r\n50%\n \nend",
        "PIN": "1%0A2",
        "EMPTY": "",
        "BLANK": "  ",
        "SAME": "1%0A2",
    }
    written = write("github", [*variables(values, sensitive=True), *variables({"OPEN": "seen"})])

    assert written.masks == (
        "::add-mask::-- BEGIN%0D%0A%0D%0A50%25%0A %0Aend\n::add-mask::-- BEGIN\n::add-mask::50%25\n::add-mask::end\n"
        "::add-mask::1%250A2\n"
    )
    assert services.masked(written.masks) == [values["KEY"], "-- BEGIN", "50%", "end", "1%0A2"]


def test_gitlab_takes_secrets_only_when_told_to():
    values = [*variables({"A": "hunter2", "B": "hunter3"}, sensitive=True), *variables({"OPEN": "seen"})]
    with pytest.raises(RenderError) as caught:
        write("gitlab", values)

    assert str(caught.value) == (
        "2 variables cannot be written as gitlab: A, B: GitLab masks nothing that comes by a dotenv report "
        "(run the job's command with confsync exec, or write them all the same with --reveal)"
    )
    assert write("gitlab", values, reveal=True).text == "A=hunter2\nB=hunter3\nOPEN=seen\n"


def test_gitlab_has_limits():
    with pytest.raises(
        RenderError, match=r"at most 150 variables of a report, and there are 151 .choose fewer"
    ):
        write("gitlab", variables(["x"] * 151))
    with pytest.raises(
        RenderError, match=r"has to be smaller than 5120 bytes, and this has 5120 .choose fewer"
    ):
        write("gitlab", variables({"A": "x" * (5120 - 3)}))

    assert write("gitlab", variables({"A": "x" * (5120 - 4)})).notes == ()
    assert write("gitlab", variables(["x"] * 51)).notes == (
        "gitlab.com takes 50 variables of a report in its free plan; there are 51",
    )


PAYLOADS = (
    "$({0})", "`{0}`", "\n{0}\n", ";{0};", "';{0};'", "'\n{0}\n'", '"$({0})"', '";{0};"', "x[$({0})]", "$[x[$({0})]]", "${{x:-$({0})}}",
    "${{x:-`{0}`}}", "\\`{0}\\`", "\\$({0})", "${{:-$}}({0})", "}}$({0}){{", "\r\n{0}\r\n", "<({0})", "={0}", "|{0}", "&{0}&", "it's $({0})",
    "it's `{0}`", "it's \\`{0}\\`", "it's \\\\`{0}`", "it's $$({0})", "it's \"$({0})\" \\", "'\"`{0}`", "\r$({0})", "\r`{0}`", "it's\n{0}\n`", "it's ${{`{0}`}}",
    "it's $[x[$({0})]]", "'\\''{0};'", "'$({0})\\", "it's ${{x:=$({0})}}",
)  # fmt: skip


@pytest.mark.parametrize("shell", ["bash", "dash", "zsh"])
@pytest.mark.parametrize(
    "form", ["shell", "systemd", "dotenv", *(f"dotenv {one}" for one in DIALECTS if one != "node")]
)
def test_nothing_in_a_value_runs_whichever_shell_reads_it(form, shell, tmp_path):
    program = programs.program(shell)
    kind, _, dialect = form.partition(" ")
    marker = tmp_path / "ran"
    folder = tmp_path / "files"
    folder.mkdir()
    for number, payload in enumerate(PAYLOADS):
        try:
            text = write(
                kind, variables({"A": payload.format(f"touch {marker}")}), dialect=dialect or None
            ).text
        except RenderError:
            continue
        (folder / f"{number:02}").write_bytes(text.encode())

    script = "for file in ./*; do ( set -a; . $file ); done"
    subprocess.run(
        [program, "-c", script], cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=60
    )

    assert len(list(folder.iterdir())) > 10
    assert not marker.exists()


def test_what_was_written_shows_no_values():
    written = write("github", [Variable("A", "hunter2", "vault:x", True)])

    assert "hunter2" not in repr(written)
