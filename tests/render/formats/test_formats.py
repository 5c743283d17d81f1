"""What each format can hold, and what it says when it cannot."""

# ruff: noqa: E501 - a table's rows stay on one line
from __future__ import annotations

import configparser
from typing import get_args

import pytest

from confsync.config.models import Format
from confsync.errors import RenderError
from confsync.render.formats import encode, format_of, parse


@pytest.mark.parametrize(("path", "form"), [
    ("/etc/app/.env", "dotenv"), ("prod.env", "dotenv"), (".env.local", "dotenv"), ("a.json", "json"), ("a.YAML", "yaml"),
    ("a.yml", "yaml"), ("a.toml", "toml"), ("a.ini", "ini"), ("setup.cfg", "ini"), ("a.properties", "properties"),
    ("x.auto.tfvars", "tfvars"), ("x.tfvars.json", "json"), ("env.sh", "shell"), ("nginx.conf", None), ("env", None),
    ("/a.env/file", None), (".env.json", "json"),
    ("conf.d/app.fish", "fish"), ("env.PS1", "powershell"),
])  # fmt: skip
def test_the_ending_tells_the_format(path, form):
    assert format_of(path) == form


@pytest.mark.parametrize(("form", "mapping", "message"), [
    ("dotenv", {"DB-HOST": "x"}, r"'DB-HOST' cannot be written as dotenv: a variable's name has only letters, digits and _.* \(call it DB_HOST\)"),
    ("shell", {"1A": "x"}, r"call it _1A"),
    ("shell", {"é": "x"}, r"a variable's name has only letters"),
    ("shell", {"UID": "x"}, r"'UID' cannot be written as shell: bash keeps this variable read-only"),
    ("shell", {"RANDOM": "x"}, r"shells give this variable values of their own"),
    ("shell", {"A": "hunter2\0"}, r"it has a NUL character"),
    ("dotenv", {"A": "hunter2\r"}, r"a carriage return, which the readers of dotenv files do not read alike \(format: json or shell"),
    ("dotenv", {"A": "hunter2\\"}, r"a doubled or final backslash"),
    ("dotenv", {"A": "hunter2\\\\x"}, r"a doubled or final backslash"),
    ("dotenv", {"A": "${hunter2}"}, r"a \$\{…\}"),
    ("dotenv", {"A": "hunter2's $5"}, r"a single quote together with one of"),
    ("ini", {"A": "hunter2\n"}, r"'A' cannot be written as ini: it has a line break"),
    ("ini", {"A": " hunter2"}, r"it begins or ends with blanks"),
    ("ini", {"a": "1", "A": "2"}, r"it is the same name as 'a' to readers that ignore case"),
    ("ini", {"x": "1", "DEFAULT/x": "2"}, r"the same name as 'x'"),
    ("ini", {"a=b": "1"}, r"a name cannot have ="),
    ("ini", {"[a": "1"}, r"begin with \["),
    ("ini", {"s]/a": "1"}, r"a section cannot have \]"),
    ("ini", {"/a": "1"}, r"must not be empty"),
    ("toml", {"A": 2**63}, r"beyond the 64 bits of a TOML number"),
    ("tfvars", {"a b": "x"}, r"a Terraform variable's name"),
    ("tfvars", {"a": "e\u0301"}, r"Unicode normal form C"),
    ("json", {"A": b"\xff"}, r"its value is not UTF-8 text \(byte 0\) \(encode it: .*b64encode"),
    ("json", {"A": float("nan")}, r"its value is not a finite number"),
    ("json", {"A": "\ud800"}, r"its value is not valid Unicode"),
    ("json", {"\ud800": "x"}, r"the key is not valid Unicode"),
    ("yaml", {"k" * 2000: "x"}, r"a key of 2000 characters is too long"),
    ("shell", {"SHLVL": "x"}, r"shells give this variable values of their own"),
    ("shell", {"LINES": "x[$(hunter2)]"}, r"zsh takes this variable for arithmetic, so it must be a number"),
    ("fish", {"version": "x"}, r"fish keeps this variable to itself"),
    ("fish", {"CDPATH": "/hunter2:"}, r"it has an empty element"),
    ("fish", {"A": "hunter2\0"}, r"it has a NUL character"),
    ("powershell", {"A": "hunter2\0"}, r"it has a NUL character"),
    ("powershell", {"A": "1", "a": "2"}, r"'a' cannot be written as powershell: on Windows it is the same variable as 'A'"),
    ("docker", {"A": "hunter2\0"}, r"it has a NUL character"),
    ("docker", {"A": "hunter2\nx"}, r"it has a line break"),
    ("docker", {"A": "hunter2\r"}, r"it ends in a carriage return"),
    ("docker", {"A": "x" * 65534}, r"longer than the 64 KiB that docker reads"),
    ("systemd", {"A": "hunter2\0"}, r"it has a NUL character"),
    ("systemd", {"A": "hunter2\ufffe"}, r"it has a Unicode noncharacter"),
    ("systemd", {"A": "hunter2\ufeff"}, r"it has a byte order mark"),
])  # fmt: skip
def test_what_cannot_be_held_is_refused_by_name(form, mapping, message):
    with pytest.raises(RenderError, match=message) as caught:
        encode(form, mapping)

    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", get_args(Format))
def test_an_integer_too_large_to_print_is_refused(form):
    with pytest.raises(RenderError, match="a number of absurd size"):
        encode(form, {"A": 10**5000})


@pytest.mark.parametrize(("value", "line"), [
    ("plain", "A=plain"), ("", "A="), ("postgres://u@h:5432/db?x=1", "A='postgres://u@h:5432/db?x=1'"), ("a b", "A='a b'"),
    ("it's", "A=\"it's\""), ("$HOME", "A='$HOME'"), ('{"a": 1}', "A='{\"a\": 1}'"), ("#x", "A='#x'"), ("a\\b", "A='a\\b'"),
    ("a\nb", "A='a\nb'"), ("~", "A='~'"), ("!", "A='!'"),
])  # fmt: skip
def test_dotenv_quotes_only_as_all_its_readers_understand(value, line):
    assert encode("dotenv", {"A": value}).decode() == line + "\n"


@pytest.mark.parametrize(("form", "value", "line"), [
    ("dotenv", "=x", "A='=x'"), ("dotenv", "a:=x", "A='a:=x'"), ("dotenv", "a=:x", "A=a=:x"), ("systemd", "=x", 'A="=x"'),
    ("systemd", "", "A="), ("systemd", 'a\n"$`\\', 'A="a\n\\"\\$\\`\\\\"'), ("systemd", "%h 'x'", "A=\"%h 'x'\""),
    ("fish", "", "set -gx A ''"), ("fish", "it's\n\\ $x", "set -gx A 'it\\'s\n\\\\ $x'"),
    ("docker", "", "A="), ("docker", " 'x' $y\t", "A= 'x' $y\t"), ("docker", "x" * 65533, "A=" + "x" * 65533),
    ("powershell", "", "$env:A = ''"), ("powershell", "it's $x", "$env:A = 'it''s $x'"),
    ("powershell", "a\n\u2019b", "$env:A = -join ('a', [char]10, [char]8217, 'b')"), ("powershell", "\n", "$env:A = -join ([char]10)"),
    ("powershell", "😀", "$env:A = -join ([char]55357, [char]56832)"),
])  # fmt: skip
def test_each_quotes_as_its_reader_does(form, value, line):
    assert encode(form, {"A": value}).decode() == line + "\n"


@pytest.mark.parametrize(("form", "text"), [
    ("fish", "set -gx A x\n"), ("fish", "set -gx A 'x\\n'\n"), ("docker", "A-B=x\n"), ("docker", "A\n"), ("systemd", "A='x'\n"),
    ("systemd", 'A="$x"\n'), ("systemd", 'A="x\n'), ("powershell", '$env:A = "x"\n'), ("powershell", "$env:A = 'x' + 'y'\n"),
    ("powershell", "$env:A = 'é'\n"), ("powershell", "$env:A = -join ([char]65536)\n"), ("shell", "export A=x\n"),
])  # fmt: skip
def test_what_we_would_not_write_is_not_read_back(form, text):
    with pytest.raises(ValueError, match=r"line 1|beyond 16 bits"):
        parse(form, text.encode())


@pytest.mark.parametrize(
    "text", ["A=a b\n", "A='a'b\n", 'A="$x"\n', 'A="a\\n"\n', "A b\n", "A='open\n", "A-B=1\n"]
)
def test_dotenv_of_other_dialects_is_not_read(text):
    with pytest.raises(ValueError, match="line 1"):
        parse("dotenv", text.encode())


def test_dotenv_comments_blank_lines_and_export_are_read():
    assert parse("dotenv", b"# c\n\n  # d\nA=1\nexport B='x y'\n") == {"A": "1", "B": "x y"}


def test_ini_sections_are_read_by_an_ordinary_configparser():
    written = encode("ini", {"db/host": "h", "name": "app", "db/port": 5432, "a/b/c": "x;y #z %d"}).decode()
    reader = configparser.ConfigParser(interpolation=None)
    reader.read_string(written)

    assert written.startswith("[DEFAULT]\nname = app\n\n[db]\nhost = h\nport = 5432\n")
    assert reader["db"]["port"] == "5432"
    assert reader["db"]["name"] == "app"
    assert reader["a/b"]["c"] == "x;y #z %d"


@pytest.mark.parametrize(("text", "found"), [
    ("a=b\n", {"a": "b"}), ("a b\n", {"a": "b"}), ("a : b\n", {"a": "b"}), ("a\n", {"a": ""}), ("  a = b ", {"a": "b "}),
    ("# c\n! d\n\na=1", {"a": "1"}), ("a=b\\\n   c\n", {"a": "bc"}), ("a=b\\\\\nc=d\n", {"a": "b\\", "c": "d"}),
    ("a\\ b\\=c=d\n", {"a b=c": "d"}), ("a=\\u00e9\\t\\q\n", {"a": "é\tq"}), ("a=\\ud83d\\ude00\n", {"a": "😀"}),
    ("a==b\n", {"a": "=b"}), ("a=1\r\nb=2\rc=3", {"a": "1", "b": "2", "c": "3"}), ("a = b \\\n# c\n", {"a": "b # c"}),
])  # fmt: skip
def test_properties_are_read_as_java_reads_them(text, found):
    assert parse("properties", text.encode()) == found


def test_properties_are_ascii():
    assert encode("properties", {"a b": " é😀\n"}) == b"a\\ b=\\ \\u00e9\\ud83d\\ude00\\n\n"


@pytest.mark.parametrize(("value", "written"), [
    ("${x}", '"$${x}"'), ("%{x}", '"%%{x}"'), ("$x %y", '"$x %y"'), ("$${x}", '"$\\u0024{x}"'), ('a"\n', '"a\\"\\n"'),
])  # fmt: skip
def test_terraform_expands_nothing(value, written):
    assert encode("tfvars", {"a": value}).decode() == f"a = {written}\n"


def test_yaml_text_is_always_quoted():
    written = encode(
        "yaml", {"host": "db", "no": "no", "n": 1e16, "a/b.c": "1e3", "<<": "x", "": "y"}
    ).decode()

    assert written == 'host: "db"\n"no": "no"\n"n": 1.0e+16\na/b.c: "1e3"\n"<<": "x"\n"": "y"\n'


def test_nested_yaml_is_no_data_map_and_no_crash():
    for text in ("a: [1]", "[" * 200_000):
        with pytest.raises(ValueError, match="nested more than 1 deep"):
            parse("yaml", text.encode())


def test_a_large_value_is_written_fast_in_every_format():
    value = "1 MB of text, quoted " * 60_000

    for form in (
        "dotenv",
        "json",
        "yaml",
        "toml",
        "properties",
        "tfvars",
        "shell",
        "fish",
        "powershell",
        "systemd",
    ):
        assert parse(form, encode(form, {"A": value})) == {"A": value}
