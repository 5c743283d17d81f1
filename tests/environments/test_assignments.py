"""Which lines belong together and what they set, compared with what the real programs make of the same lines."""

from __future__ import annotations

import io
import shutil
import subprocess
from contextlib import suppress

import dotenv
import pytest

from confsync.environments.output.assignments import Unclosed, grammar_of, statements


def read(grammar, text):
    """(first line, how many, names) of each statement."""
    lines = text.splitlines(keepends=True)
    return [(one.first, len(one.lines), one.names) for one in statements(grammar, lines)]


def names(grammar, text):
    return {name for _, _, found in read(grammar, text) for name in found}


POSIX = r"""
# it's a comment with a quote
A=1
export B="two
lines $HOME" # and 'more
  C='three'\''
lines'
O=a\ b#not-a-comment
"""


def test_what_a_shells_lines_set_is_what_bash_sets_by_them():
    script = 'before=$(compgen -v); . /dev/stdin; comm -13 <(sort <<<"$before") <(compgen -v | sort)'
    done = subprocess.run(["bash", "-c", script], input=POSIX, capture_output=True, text=True)
    assert names("shell", POSIX) == {"A", "B", "C", "O"}
    assert names("shell", POSIX) <= set(done.stdout.split())
    assert [first for first, _, _ in read("shell", POSIX)] == [1, 2, 3, 4, 6, 8]


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
def test_what_fishs_lines_set_is_what_fish_sets_by_them():
    text = "set -gx A 'it\\'s # no\ncomment' # it's one\nset B 1\nset --export C \"x$HOME\"\n"
    script = "set -l before (set -n); source; for n in (set -n); contains $n $before; or echo $n; end"
    done = subprocess.run(["fish", "--no-config", "-c", script], input=text, capture_output=True, text=True)
    assert names("fish", text) == set(done.stdout.split()) - {"before"}
    assert read("fish", text)[0] == (1, 2, ("A",))


@pytest.mark.parametrize(
    ("grammar", "line"),
    [
        ("shell", "x=$((1 << y))"),
        ("shell", 'y="$(echo "a'),
        ("shell", "A=`date`"),
        ("shell", "cat <<EOT"),
        ("shell", "A=1 B=2"),
        ("shell", "A=1; B=2"),
        ("shell", "if true; then A=1; fi"),
        ("direnv", "use flake"),
        ("fish", "set A (date)"),
        ("fish", "set -e A B"),
        ("powershell", "$env:A = @'"),
        ("powershell", '$env:A = "$(Get-Date)"'),
        ("powershell", "<# a remark"),
    ],
)
def test_of_what_only_a_shell_understands_nobody_claims_to_know_the_end(grammar, line):
    with pytest.raises(Unclosed):
        read(grammar, f"{line}\n")


DOTENV = """\
# it's a comment
A=it's unquoted
export B='two
lines' # more
 C = "x\\"y
z"
D=
E=`a
b`
not an assignment
"""


def test_what_dotenvs_lines_set_is_what_python_dotenv_reads():
    told = dotenv.dotenv_values(stream=io.StringIO(DOTENV.replace("E=`a\nb`\n", "")), interpolate=False)
    assert names("dotenv", DOTENV) - {"E"} == {name for name, value in told.items() if value is not None}
    assert [first for first, _, _ in read("dotenv", DOTENV)] == [1, 2, 3, 5, 7, 8, 10]


def test_a_backslash_before_a_quote_ends_a_value_for_node_only():
    text = "A='C:\\dir\\'\nB='x'\n"
    assert names("dotenv:node", text) == {"A", "B"}
    assert grammar_of("dotenv", "node") == "dotenv:node"
    assert grammar_of("dotenv", "compose") == grammar_of("dotenv") == "dotenv"


def test_the_other_formats():
    assert names("docker", "A=it's\nB\n # C=1\n=D\n") == {"A", "B"}
    systemd = "A=it's\n; B='\n# C=1\n D = \"x\ny\" 'z' \nE=x\\\nF=1\nG=H=1\n"
    assert read("systemd", systemd) == [
        (1, 1, ("A",)), (2, 1, ()), (3, 1, ()), (4, 2, ("D",)), (6, 2, ("E",)), (8, 1, ("G",)),
    ]  # fmt: skip
    powershell = "$env:A = 'it''s\nB'\n# it's\n$Env:D=-join ('x', [char]10) # y\n"
    assert read("powershell", powershell) == [(1, 2, ("A",)), (3, 1, ()), (4, 1, ("D",))]


def test_a_byte_order_mark_is_no_part_of_a_name():
    for grammar in ("dotenv", "docker"):
        assert names(grammar, "\ufeffA=1\nB=2\n") == {"A", "B"}


@pytest.mark.parametrize(
    ("grammar", "text", "line"),
    [
        ("dotenv", "A=1\nB='x\nC=2\n", 2),
        ("dotenv", 'A="x\\"', 1),
        ("shell", "A=1\nB=it's\nC=2\n", 2),
        ("shell", "A=1\\\n", 1),
        ("shell", "A=1\\", 1),
        ("shell", "cat <<EOT\nx\n", 1),
        ("direnv", 'A="$(echo x)\n', 1),
        ("fish", "set A 'x\\'\n", 1),
        ("systemd", 'A=1\nB="x\n', 2),
        ("systemd", "A=1\\\n", 1),
        ("powershell", "$env:A = 'x\n", 1),
    ],
)
def test_what_nothing_ends_is_told_with_its_line(grammar, text, line):
    with pytest.raises(Unclosed) as told:
        read(grammar, text)
    assert told.value.line == line


@pytest.mark.timeout(60)
@pytest.mark.parametrize("grammar", ["dotenv", "shell", "fish", "systemd", "powershell", "docker"])
@pytest.mark.parametrize(
    "text",
    [
        "'" * 30001,
        "\\" * 30000,
        "$<#" * 10000,
        '"`' * 15000,
        "A=" * 15000,
        "<<" * 15000,
        f"A{' ' * 400_000}x",
    ],
)
def test_hostile_lines_are_read_in_no_time(grammar, text):
    with suppress(Unclosed):
        statements(grammar, [text])
