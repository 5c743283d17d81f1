"""Where templates come from, the errors they give, and the paths they make."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jinja2 import Environment

from confsync.config.models import Limits, Sync
from confsync.errors import ConfsyncError, LimitExceeded, MissingKeys, RenderError
from confsync.render.paths import escape_segment
from confsync.render.renderer import RenderFailed

# Template files


def test_include_extends_and_import_find_files_in_every_directory(studio):
    studio.template("base.j2", "[{% block b %}base{% endblock %}]", directory="more")
    studio.template("lib/macros.j2", "{% macro m(x) %}<{{ x }}>{% endmacro %}", directory="more")
    studio.template("part.j2", "part {{ s('k') }}")
    studio.template(
        "main.j2",
        "{% extends 'base.j2' %}{% from 'lib/macros.j2' import m %}"
        "{% block b %}{{ m('a') }}{% include 'part.j2' %}{% endblock %}",
    )
    rendering = studio.render({"template": "main.j2", "to": "out"}, studio.views({"k": "v"}))
    assert rendering.desired[0].content == b"[<a>part v]"
    assert set(rendering.reads.templates) == {"main.j2", "base.j2", "lib/macros.j2", "part.j2"}


def test_the_first_directory_wins(studio):
    studio.template("a.j2", "first")
    studio.template("a.j2", "second", directory="more")
    assert studio.text("{% include 'a.j2' %}", {}) == "first"


def test_a_directorys_own_template_wins_over_the_stock_library(studio):
    stock = [name for name in studio.files.names() if name.endswith(".j2")]
    if not stock:
        pytest.skip("the stock library is empty")
    studio.template(stock[0], "mine")
    assert studio.files.read(stock[0])[0] == "mine"


@pytest.mark.parametrize(
    "name", ["../secret", "a/../../secret", "/etc/passwd", "..", "nul\\0", "templates/../../secret", "a/.."]
)
def test_a_template_name_cannot_leave_the_directories(studio, name):
    (studio.base / "secret").write_text("hidden")
    studio.template("a/x.j2", "")
    for statement in ("include", "extends", "import"):
        as_x = " as x" if statement == "import" else ""
        with pytest.raises(RenderError) as raised:
            studio.text("{% " + f'{statement} "{name}"{as_x}' + " %}", {})
        assert "hidden" not in str(raised.value)


def test_a_missing_template_names_the_nearest_and_where_it_was_looked_for(studio):
    studio.template("nginx/upstream.conf.j2", "")
    with pytest.raises(RenderError) as raised:
        studio.render({"template": "nginx/upstrem.conf.j2", "to": "out"}, studio.views({}))
    assert "there is no template 'nginx/upstrem.conf.j2'; did you mean 'nginx/upstream.conf.j2'?" in str(
        raised.value
    )
    assert str(studio.base / "templates") in str(raised.value)
    assert "stock library" in str(raised.value)


def test_a_missing_include_names_the_line_that_asks_for_it(studio):
    studio.template("main.j2", "\n\n{% include 'part.j2' %}")
    with pytest.raises(RenderError, match=r"^main.j2:3: there is no template 'part.j2'"):
        studio.render({"template": "main.j2", "to": "out"}, studio.views({}))


def test_an_include_may_be_optional(studio):
    assert studio.text("{% include 'no.j2' ignore missing %}x", {}) == "x"


SYNTAX = {
    "{{ s( }}": 1,
    "\n\n{% for %}": 3,
    "\n{% if x %}\n": 2,
    "{% nonsense %}": 1,
    "a\n{{ 'x'|nosuchfilter }}": 2,
    "a\n{{ 'x' is nosuchtest }}": 2,
    "{% endfor %}": 1,
    "\n{{ 1 +* 2 }}": 2,
}


@pytest.mark.parametrize("text", SYNTAX)
def test_a_syntax_error_names_template_and_line(studio, text):
    studio.template("main.j2", text)
    with pytest.raises(RenderError, match=rf"^main.j2:{SYNTAX[text]}: syntax error"):
        studio.render({"template": "main.j2", "to": "out"}, studio.views({}))
    (error,) = studio.renderer.check_syntax("app", Sync.model_validate({"template": "main.j2", "to": "out"}))
    assert f"main.j2:{SYNTAX[text]}" in str(error)


def test_an_unknown_name_is_told_the_nearest(studio):
    with pytest.raises(RenderError, match=r"'hostnam' is undefined; did you mean 'hostname'\?"):
        studio.text("{{ hostnam }}", {})


def test_a_template_that_is_not_text_is_named(studio):
    (studio.base / "templates").mkdir()
    (studio.base / "templates" / "bin.j2").write_bytes(b"ab\xff")
    with pytest.raises(RenderError, match=r"bin.j2: is not UTF-8 text \(byte 2\)"):
        studio.text("{% include 'bin.j2' %}", {})


def test_an_error_in_a_for_each_or_path_names_the_field(studio):
    for sync, where in (
        ({"for_each": "s.dirs(", "to": "{{ each.key }}"}, "for_each"),
        ({"for_each": "nothing", "to": "{{ each.key }}"}, "for_each"),
        ({"for_each": "3", "to": "{{ each.key }}"}, "for_each"),
        ({"for_each": "[[1, 2, 3]]", "to": "{{ each.key }}"}, "for_each"),
        ({"to": "{{ nothing }}"}, "to"),
        ({"to": "{{ s('no') }}"}, "to"),
    ):
        with pytest.raises(ConfsyncError) as raised:
            studio.render({"template": {"inline": "x"}, **sync}, studio.views({}))
        assert where in str(raised.value) or isinstance(raised.value, MissingKeys)


# Paths

hostile = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "..",
            ".",
            "/",
            "//",
            "../../etc/passwd",
            "a/b",
            "a\0b",
            "a\nb",
            "%2E",
            "%",
            "~",
            "~root",
            ".hidden",
            "é",
            "\udc80",
        ]
    ),
    st.text(st.sampled_from("./%~2E\\é\0\n"), max_size=6),
)


def placed(studio, names):
    sync = {
        "for_each": "vars.names",
        "vars": {"names": names},
        "template": {"inline": "x"},
        "to": "out/{{ each.key }}",
    }
    return [desired.spec.path for desired in studio.render(sync, studio.views({})).desired]


@given(st.lists(hostile.filter(bool), min_size=1, max_size=4, unique=True))
def test_whatever_a_name_is_its_file_is_in_the_directory_and_nobody_elses(studio, names):
    encoded = [len(os.fsencode(escape_segment(name))) for name in names]
    assume(max(encoded) <= 255)
    found = placed(studio, names)
    assert len(set(found)) == len(names)
    for path in found:
        assert os.path.dirname(path) == str(studio.base / "out")
        assert not os.path.basename(path).startswith(".")
        assert path.isprintable()


@given(hostile.filter(bool), hostile.filter(bool))
def test_no_two_names_give_one_file(one, other):
    assume(one != other)
    assert escape_segment(one) != escape_segment(other)


@given(before=hostile.filter(bool), after=hostile.filter(bool))
def test_a_name_within_a_name_stays_in_the_directory(studio, before, after):
    names = [[before, after]]
    sync = {
        "for_each": "vars.names",
        "vars": {"names": names},
        "template": {"inline": "x"},
        "to": "out/{{ each.key }}-{{ each.value }}",
    }
    assume(len(os.fsencode(escape_segment(before) + escape_segment(after))) <= 254)
    (desired,) = studio.render(sync, studio.views({})).desired
    assert os.path.dirname(desired.spec.path) == str(studio.base / "out")


def test_an_empty_name_is_refused(studio):
    with pytest.raises(RenderError, match="empty name"):
        placed(studio, [""])


def test_a_name_that_is_too_long_is_refused_and_named(studio):
    with pytest.raises(RenderError, match="longer than 255 bytes: xxxx"):
        placed(studio, ["x" * 300])


def test_a_path_may_not_have_a_nul(studio):
    with pytest.raises(RenderError, match="NUL"):
        studio.render({"template": {"inline": "x"}, "to": "a\0b"}, studio.views({}))


def test_keys_of_a_store_become_files_side_by_side(studio):
    sync = {
        "for_each": "s.items('t')",
        "template": {"inline": "{{ each.value }}"},
        "to": "out/{{ each.key }}",
    }
    views = studio.views({"t/a": "1", "t/b/c": "2", "t/..": "3"})
    found = {os.path.basename(d.spec.path): d.content for d in studio.render(sync, views).desired}
    assert found == {"a": b"1", "b%2Fc": b"2", "%2E.": b"3"}


def test_an_empty_for_each_wants_nothing(studio):
    sync = {"for_each": "s.dirs('t')", "template": {"inline": "x"}, "to": "{{ each.key }}"}
    assert studio.render(sync, studio.views({})).desired == ()


def test_only_items_that_read_a_secret_are_sensitive(studio):
    sync = {
        "for_each": "['a', 'b']", "to": "{{ each.key }}",
        "template": {"inline": "{% if each.key == 'a' %}{{ s('secret/x') }}{% else %}{{ s('plain') }}{% endif %}"},
    }  # fmt: skip
    views = studio.views({"secret/x": "hunter22", "plain": "1"}, sensitive="secret/*")
    assert [desired.sensitive for desired in studio.render(sync, views).desired] == [True, False]


# Secrets in errors

FAILING = [
    "{{ s('k')|int(base=99) }}",
    "{{ s('k').nothing }}",
    "{{ s('k')['nothing'] }}",
    "{{ s('k')() }}",
    "{{ s('k') + 1 }}",
    "{{ s('k') / 2 }}",
    "{{ {}[s('k')].x }}",
    "{{ s(s('k')) }}",
    "{{ s(s('k') ~ '/x') }}",
    "{{ s.json('k') }}",
    "{{ s.yaml('k').x.y }}",
    "{{ s('k')|from_json }}",
    "{{ s('k')|from_yaml|length + 'x' }}",
    "{{ s('k')|from_toml }}",
    "{{ s('k')|b64decode }}",
    "{{ s('k')|hex_decode }}",
    "{{ s('k')|url_port + 1 }}",
    "{{ s('k')|ip_host }}",
    "{{ s('k')|to_datetime }}",
    "{{ s('k')|duration_seconds }}",
    "{{ s('k')|to_bool }}",
    "{{ s('k')|dictsort }}",
    "{{ '%d' % s('k') }}",
    "{{ '{:d}'.format(s('k')) }}",
    "{% include s('k') %}",
    "{% import s('k') as x %}",
    "{% set x = namespace() %}{{ x[s('k')] }}",
    "{{ range(s('k')) }}",
    "{{ s('k')|attr(s('k')) }}",
    "{{ [1]|map(s('k'))|list }}",
    "{{ [1]|select(s('k'))|list }}",
    "{{ s('k')|indent(s('k')) }}",
    "{{ s.items(s('k')) }}{{ nothing }}",
]


@pytest.mark.parametrize("template", FAILING)
@given(secret=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=6, max_size=30))
def test_no_error_shows_a_sensitive_value(studio, template, secret):
    secret = "q7" + secret + "z"  # not a word that messages have anyway
    views = studio.views({"k": secret}, sensitive="*")
    caught: RenderError | None = None
    try:
        reads = studio.render({"template": {"inline": template}, "to": "out"}, views).reads
    except RenderError as exc:
        caught = exc
    if caught is None:
        assert all(secret not in read.path for read in reads.missed | reads.listed)
        return
    assert not isinstance(caught, LimitExceeded)
    for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]):
        assert form not in str(caught)


def test_the_same_text_in_two_syncs_is_called_by_each_ones_name(studio):
    sync = Sync.model_validate({"template": {"inline": "{{ s('a') }}"}, "to": "out"})
    for name in ("one", "two", "one"):
        with pytest.raises(RenderFailed) as caught:
            studio.renderer.render(name, sync, Limits(), studio.views({}), {})
        assert f"syncs.{name}.template:1" in str(caught.value.error)


def test_text_that_many_syncs_have_is_compiled_once(studio, monkeypatch):
    compiled = []
    compile_ = Environment.compile
    monkeypatch.setattr(
        Environment, "compile", lambda self, *args: compiled.append(args) or compile_(self, *args)
    )
    sync = Sync.model_validate({"template": {"inline": "{{ s('a') }}"}, "to": "out"})
    for number in range(300):
        studio.renderer.render(f"s{number}", sync, Limits(), studio.views({"a": "1"}), {})
    assert len(compiled) == 1


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "{{ s.nosuch() }}",
            "a source has no 'nosuch'; there is get, bytes, items, children, dirs, json, yaml",
        ),
        ("{{ s['nosuch'] }}", "a source has no 'nosuch'"),
    ],
)
def test_an_error_about_a_source_says_what_a_source_has(studio, template, message):
    with pytest.raises(RenderError) as caught:
        studio.text(template, {"a": "1"})
    assert message in str(caught.value)
    assert "confsync.render" not in str(caught.value)


def test_an_error_about_each_says_what_it_has(studio):
    sync = {"template": {"inline": "{{ each.nosuch }}"}, "for_each": "['a']", "to": "{{ each.key }}"}
    with pytest.raises(RenderError, match="each has no 'nosuch'; there is key, value"):
        studio.render(sync, studio.views({}))


def test_a_missing_template_suggests_only_what_can_be_loaded(studio):
    for name in ("__init__", "__init__.py", "__pycache__/x"):
        with pytest.raises(RenderError) as caught:
            studio.render({"template": name, "to": "out"}, studio.views({}))
        assert "__pycache__" not in str(caught.value).partition("there is no template")[2].partition(";")[2]
        assert "__init__" not in str(caught.value).partition(";")[2]


def test_a_template_deleted_while_it_is_rendered_gives_a_rendering_that_shows_less(studio):
    studio.template("a.j2", "plain line here\n{{ s('a') }}\n")
    views = studio.views({"a": "secret-value"}, sensitive="*")
    rendering = studio.render({"template": "a.j2", "to": "out"}, views)
    assert any("plain line here" in text for text in rendering.literals)
    kept = studio.render(
        {"template": {"inline": "{% include 'a.j2' %}"}, "to": "out"}, studio.views({"a": "1"})
    )
    (studio.base / "templates" / "a.j2").unlink()
    assert [text for text in kept.literals if "plain" in text] == []
