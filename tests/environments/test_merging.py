"""A block among somebody's own lines: put in, replaced and taken out again, and nothing else touched."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from confsync.environments.output.merging import (
    check_above,
    check_marks,
    overrides,
    own_of,
    put_together,
    said,
    take_apart,
    without_block,
)
from confsync.errors import ConfsyncError

BEGIN, END = "# >>> confsync env prod >>>\n", "# <<< confsync env prod <<<\n"
MADE = "# Made by: confsync env prod\n"


def digest(text):
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def own(content, known=None, grammar="dotenv"):
    return own_of(take_apart(content, ".env"), grammar, known, digest, ".env")


def merge(content, body="A=1\n", known=None, grammar="dotenv", environment="prod"):
    return put_together(own(content, known, grammar), grammar, environment, [MADE[2:-1]], body)


def known(merged):
    return {digest(text): name for name, text in merged.statements}


CONTENT = st.lists(
    st.sampled_from(
        [b"A=1", b"# mine", b"", b"B='two", b"lines'", b" \t", b"\xff\xfe", "é=ü".encode(), b"\r", b"'"]
    )
).map(list)
ENDS = st.sampled_from([b"\n", b"\r\n"])


@st.composite
def files(draw):
    """Lines of all kinds, their ends mixed or not, the last one with or without."""
    end = draw(ENDS)
    ends = draw(st.one_of(st.just(st.just(end)), st.just(ENDS)))
    content = b"".join(line + draw(ends) for line in draw(CONTENT))
    return content + draw(st.sampled_from([b"", b"LAST=1", b"LAST=1\r"]))


@given(files(), st.sampled_from(["docker", "dotenv", "dotenv:node"]))
@example(b"LAST=1\r", "docker")
@example(b"", "docker")
@example(b"A=1\r\nB=2", "dotenv")
def test_what_was_put_in_and_taken_out_again_leaves_every_byte(content, grammar):
    merged = merge(content, grammar=grammar)
    assert BEGIN.strip().encode() in merged.content
    assert b"A=1" in merged.content
    taken = without_block(own(merged.content, known(merged), grammar), merged.added)
    assert taken == content


@given(files(), files())
def test_a_block_is_replaced_where_it_stands(above, below):
    assume(above.endswith(b"\n") or not above)
    file = above + (BEGIN + MADE + "OLD=1\n" + END).encode() + below
    merged = merge(file, body="NEW=2\n", grammar="docker")
    assert merged.content.startswith(above + b"# >>> confsync env prod >>>")
    assert merged.content.endswith(below)
    middle = merged.content[len(above) : len(merged.content) - len(below)]
    assert b"NEW=2" in middle
    assert b"OLD" not in merged.content
    assert merge(merged.content, "NEW=2\n", known(merged), "docker").content == merged.content


def test_the_blocks_lines_end_as_those_around_where_their_reader_takes_that():
    content = b"MINE=1\r\n"
    assert merge(content, body="A='x\ny'\n").content == (
        b"MINE=1\r\n# >>> confsync env prod >>>\r\n# Made by: confsync env prod\r\nA='x\ny'\r\n"
        b"# <<< confsync env prod <<<\r\n"
    )
    assert b"A=1\n" in merge(content, grammar="shell").content
    assert merge(b"A=1\r\nB=2").content.startswith(b"A=1\r\nB=2\r\n# >>>")
    assert b"\r" not in merge(b"MINE=1\nOTHER=1\r\n").content.partition(b"# >>>")[2]


def test_the_block_of_another_environment_is_replaced():
    file = b"X=1\n" + merge(b"", environment="dev").content
    parts = take_apart(file, ".env")
    assert parts.environments == ("dev",)
    assert merge(file).content.count(b">>>") == 2
    assert b"env dev" not in merge(file).content


def test_several_whole_blocks_become_one_and_what_is_between_them_stays():
    block = (BEGIN + MADE + "A=1\n" + END).encode()
    merged = merge(b"X=1\n" + block + b"Y=1\n" + block + b"Z=1\n", body="A=2\n")
    assert merged.content == b"X=1\n" + merge(b"", body="A=2\n").content + b"Y=1\nZ=1\n"


@pytest.mark.parametrize(
    ("file", "line", "says"),
    [
        (f"A=1\n{BEGIN}B=2\n", 2, "nothing ends it"),
        (f"A=1\nB=2\n{END}", 3, "no line above begins"),
        (f"{BEGIN}{BEGIN}{END}", 1, "line 2 opens one more"),
        (f"{BEGIN}A=1\n{END}{END}", 4, "no line above begins"),
        (f"{BEGIN.strip()}\r\nA=1\r\n", 1, "nothing ends it"),
    ],
)
def test_a_block_with_a_mark_missing_is_left_alone(file, line, says):
    with pytest.raises(ConfsyncError, match=says) as told:
        take_apart(file.encode(), "/x/.env")
    assert str(told.value).startswith(f"/x/.env:{line}: ")
    assert "confsync env prod" in str(told.value)


def test_a_file_in_utf_16_is_left_alone():
    with pytest.raises(ConfsyncError, match="iconv"):
        take_apart("A=1\n".encode("utf-16"), ".env")


def test_what_is_written_in_the_block_is_kept_below_it():
    first = merge(b"MINE=1\n", body="A=1\nB='two\nlines'\nC=3\n")
    edited = (
        first.content.replace(b"A=1", b"A=mine")
        .replace(b"lines'", b"lines!'")
        .replace(b"C=3\n", b"# a thought\nD=4\n")
    )
    found = own(edited, known(first))
    assert [(one.line, one.names) for one in found.edited] == [(4, ("A",)), (5, ("B",)), (7, ()), (8, ("D",))]
    assert found.removed == ("C",)
    second = put_together(found, "dotenv", "prod", [MADE[2:-1]], "C=3\n")
    assert second.content == (
        b"MINE=1\n" + (BEGIN + MADE + "C=3\n" + END).encode() + b"A=mine\nB='two\nlines!'\n# a thought\nD=4\n"
    )
    assert merge(second.content, "C=3\n", known(second)).content == second.content
    assert without_block(own(edited, known(first))) == b"MINE=1\nA=mine\nB='two\nlines!'\n# a thought\nD=4\n"


def test_of_a_block_that_nothing_is_known_of_only_what_is_written_now_counts_as_ours():
    content = merge(b"", body="A=1\nMINE=only-copy\n").content
    found = own(content, frozenset({"A"}))
    assert [(one.line, one.names) for one in found.edited] == [(4, ("MINE",))]
    assert put_together(found, "dotenv", "prod", [], "A=2\n").content.endswith(
        END.encode() + b"MINE=only-copy\n"
    )
    assert own(content).edited == ()


@pytest.mark.parametrize("known", [None, frozenset({"A"})])
def test_marks_around_what_confsync_did_not_write_are_no_block(known):
    with pytest.raises(
        ConfsyncError, match=r"\.env:2: has the mark of a block that confsync env did not write"
    ):
        own(f"X=1\n{BEGIN}A=1\n{END}".encode(), known)


def test_marks_within_a_value_are_no_block():
    with pytest.raises(ConfsyncError, match=r"\.env:1: opens a quote"):
        check_above(own(f'FOO="\n{BEGIN}{MADE}x\n{END}"\n'.encode()), "dotenv", ".env")


@pytest.mark.parametrize(
    "line",
    ['A="it is"', "A='it is' # changed", "export A='it is'", "A = it is", "A=it\\ is", "A=`it is`"],
)
def test_what_is_only_quoted_otherwise_is_no_edit(line):
    first = merge(b"", body="A='it is'\n")
    digests = {**known(first), digest(said("A", "it is")): "A"}
    assert own(first.content.replace(b"A='it is'", line.encode()), digests).edited == ()
    assert own(first.content.replace(b"A='it is'", b"B='it is'"), digests).edited != ()


@pytest.mark.parametrize(
    ("content", "lead"),
    [
        ("", ""),
        ("X=1", ""),
        ('y="$(echo "a\nA_URL=in\n")"\nx=$((1 << y))\n', ""),
        ("#!/bin/sh\ncat <<'E'\nA=it's\nE\n", "#!/bin/sh\n"),
        ("\ufeff# mine\r\n'\r\n", "\ufeff# mine\r\n"),
        ("#!/bin/sh", "#!/bin/sh"),
    ],
)
def test_in_a_script_the_block_comes_first_and_the_rest_is_not_read(content, lead):
    merged = merge(content.encode(), "export A='1'\n", grammar="shell")
    assert merged.content.startswith(lead.encode() + merged.added.encode() + BEGIN.encode())
    assert merged.content.endswith(END.encode() + content.removeprefix(lead).encode())
    found = own(merged.content, known(merged), "shell")
    assert overrides(found, "shell", ".env") == ()
    assert without_block(found, merged.added) == content.encode()


def test_in_a_script_the_block_may_be_moved():
    merged = merge(b"a\nb\n", "export A='1'\n", grammar="shell")
    moved = b"a\n" + merged.content.removesuffix(b"a\nb\n") + b"b\n"
    assert merge(moved, "export A='1'\n", known(merged), "shell").content == moved


def test_nothing_comes_before_a_byte_order_mark():
    with pytest.raises(ConfsyncError, match="byte order mark"):
        merge("\ufeff$env:X = 1\n".encode(), "$env:A = '1'\n", grammar="powershell")


def test_line_ends_that_an_editor_changed_are_no_edit():
    first = merge(b"", body="A=1\nB='x\ny'\n")
    found = own(first.content.replace(b"\n", b"\r\n"), known(first))
    assert (found.edited, found.removed) == ((), ())


def test_a_block_edited_so_that_a_quote_is_open_is_left_alone():
    first = merge(b"X=1\n")
    with pytest.raises(ConfsyncError, match="edited by hand") as told:
        own(first.content.replace(b"A=1", b"A='1"), known(first))
    assert str(told.value).startswith(".env:4: ")


def test_what_somebody_sets_is_told_with_its_lines():
    first = merge(b"A=1\nB=1\n", body="C=1\nD=1\n")
    file = first.content.replace(b"D=1", b"D=2") + b"A=2\n"
    told = overrides(own(file, known(first)), "dotenv", ".env")
    assert [(one.name, one.lines) for one in told] == [("A", (1, 8)), ("B", (2,)), ("D", (6,))]


def test_a_value_that_would_run_into_the_block_stops_it():
    with pytest.raises(ConfsyncError, match=r"\.env:2: opens a quote"):
        overrides(own(b"A=1\nB='x\n"), "dotenv", ".env")
    below = (BEGIN + END + "A=1\nB='s\n").encode()
    with pytest.raises(ConfsyncError, match=r"\.env:4: opens a quote"):
        overrides(own(below), "dotenv", ".env")


@pytest.mark.parametrize("mark", [END, BEGIN, "x # <<< confsync env dev <<<"])
def test_a_value_cannot_end_the_block(mark):
    with pytest.raises(ConfsyncError, match="values:evil") as told:
        check_marks([("values:good", "x"), ("values:evil", f"x\n{mark}\nrm -rf /")])
    assert "values:good" not in str(told.value)
    assert "rm -rf" not in str(told.value)


def test_no_value_is_in_what_is_shown_of_these():
    merged = merge(b"MINE=my-secret\n", body="A=their-secret\n")
    found = own(merged.content, known(merged))
    for one in (merged, found, found.parts):
        assert "secret" not in repr(one)
