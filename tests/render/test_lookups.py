"""What a source gives to templates, and that every look at it is recorded."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confsync.driver import Entry
from confsync.errors import MissingKeys, RenderError
from confsync.reads import PathRead
from confsync.render.source_view import SourceView
from confsync.snapshot import Snapshot

segments = st.text(st.sampled_from("ab-. é'"), min_size=1, max_size=2)
paths = st.lists(segments, min_size=1, max_size=3).map("/".join)
trees = st.dictionaries(paths, st.text(max_size=4), max_size=8)


def quoted(text):
    return json.dumps(text, ensure_ascii=True)


@given(first=trees, second=trees, prefix=st.one_of(st.just(""), paths))
def test_lookups_agree_with_a_plain_dict_whose_first_layer_wins(studio, first, second, prefix):
    model = {**second, **first}
    start = f"{prefix}/" if prefix else ""
    rest = {path[len(start) :]: value for path, value in model.items() if path.startswith(start)}
    at = quoted(prefix)
    template = (
        f"{{{{ [s.items({at}), s.children({at}), s.dirs({at}), s.get({at} or 'x'), {at} in s] | to_json }}}}"
    )
    found = json.loads(studio.text(template, first, second))
    assert found[0] == [[path, rest[path]] for path in sorted(rest)]
    assert found[1] == [[path, rest[path]] for path in sorted(rest) if "/" not in path]
    assert found[2] == sorted({path.partition("/")[0] for path in rest if "/" in path})
    assert found[3] == model.get(prefix or "x")
    assert found[4] == (prefix in model)


def test_slashes_around_a_path_mean_nothing(studio):
    assert studio.text("{{ s('/db/host/') }}{{ s.children('/db/') }}", {"db/host": "x"}) == "x[('host', 'x')]"


def test_json_and_yaml_values_are_parsed(studio):
    layer = {"j": '{"a": [1, 2]}', "y": "a: [1, 2]\n"}
    assert studio.text("{{ s.json('j').a[1] }} {{ s.yaml('y').a[0] }}", layer) == "2 1"
    assert studio.text("{{ s.json('x', default=[7])[0] }}{{ s.yaml('x', default=none) }}", {}) == "7None"


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_a_value_that_cannot_be_parsed_names_key_and_place_and_shows_nothing_of_it(studio, kind):
    with pytest.raises(
        RenderError, match=r"app.*:2: the value of s:0/k is not valid .*line 2.* column"
    ) as raised:
        studio.text(f"\n{{{{ s.{kind}('k') }}}}", {"k": "{\nhunter2: ]"})
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("hostile", ["!!python/object/apply:os.system ['true']", "&a [*a]"])
def test_yaml_values_are_parsed_safely(studio, hostile):
    with suppress(RenderError):
        assert studio.text("{{ s.yaml('k')|string|length }}", {"k": hostile}) != "0"


def test_yaml_that_multiplies_itself_ends_in_a_limit_or_an_error(studio):
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
    )
    with pytest.raises(RenderError):
        studio.text("{{ s.yaml('k') }}", {"k": bomb})


def test_bytes_are_given_as_they_are(studio):
    assert studio.text("{{ s.bytes('k')|b64encode }}", {"k": b"\xff\x00"}) == "/wA="


@pytest.mark.parametrize(
    "expression", ["s('der/key')", "s.get('der/key')", "s.items('der')", "s.children('der')"]
)
def test_a_value_that_is_not_text_names_its_key_and_suggests_bytes(studio, expression):
    with pytest.raises(RenderError) as raised:
        studio.text("{{ " + expression + " }}", {"der/key": b"ab\xff"})
    assert "the value of s:0/der/key is not UTF-8 text (byte 2)" in str(raised.value)
    assert "read it as bytes: s.bytes('der/key')" in str(raised.value)


@pytest.mark.parametrize("wrong", ["s(1)", "s.items([])", "s.get(none)", "1 in s"])
def test_a_path_that_is_no_text_is_an_error(studio, wrong):
    with pytest.raises(RenderError, match="a path is text, not"):
        studio.text("{{ " + wrong + " }}", {})


def test_a_value_of_two_megabytes_is_no_problem(studio):
    assert studio.text("{{ s('k') }}", {"k": "x" * 2_000_000}) == "x" * 2_000_000


HANDLED = {
    "{{ s('x')|default('d') }}": "d",
    "{{ s('x')|d('d') }}": "d",
    "{{ s('x', default='d') }}": "d",
    "{{ s('x', 'd') }}": "d",
    "{{ s.get('x') }}": "None",
    "{{ s('x') is defined }}": "False",
    "{{ s('x') is undefined }}": "True",
    "{{ 'x' in s }}": "False",
    "{{ s.items('x') }}{{ s.dirs('x') }}": "[][]",
    "{% if s('x') is defined %}{{ s('x') }}{% endif %}": "",
    "{{ s.json('x')|default('d') }}": "d",
    "{{ s.bytes('x')|default('d') }}": "d",
}


@pytest.mark.parametrize("template", HANDLED)
def test_a_missing_key_that_is_handled_is_no_error_but_is_recorded(studio, template):
    views = studio.views({})
    rendering = studio.render({"template": {"inline": template}, "to": "out"}, views)
    assert rendering.desired[0].content == HANDLED[template].encode()
    reads = rendering.reads
    assert PathRead("s", "x") in reads.missed | reads.listed


USES = [
    "{{ X }}",
    "{{ X|upper }}",
    "{{ X|int + 1 }}",
    "{{ X.field.other }}",
    "{{ X['a'] }}",
    "{{ X() }}",
    "{{ X ~ 'a' }}",
    "{{ X + 'a' }}",
    "{{ 'a' + X }}",
    "{{ 3 * X }}",
    "{{ X == 'a' }}",
    "{{ X and 'a' }}",
    "{% if X %}a{% endif %}",
    "{% for c in X %}{{ c }}{% endfor %}",
    "{{ X|length }}",
    "{{ X|join(',') }}",
    "{{ X|b64encode }}",
    "{{ X|to_json }}",
    "{{ X|sort|list }}",
    "{{ -X }}",
    "{{ X > 3 }}",
    "{{ 'a' in X }}",
    "{{ s(X) }}",
    "{{ X|shell_quote if false else X|trim }}",
    "{% set y = X %}{{ y }}",
    "{{ [X]|first }}",
    "{{ '%s' % X }}",
    "{{ X[1:] }}",
]


@pytest.mark.parametrize("use", USES)
def test_a_missing_key_that_is_used_is_named_together_with_all_others(studio, use):
    template = use.replace("X", "s('first')") + "\n{{ s('second') }}"
    with pytest.raises(MissingKeys) as raised:
        studio.text(template, {"secondd": "x"})
    names = [missing.key for missing in raised.value.missing]
    assert names == ["first", "second"]
    assert raised.value.missing[1].nearest == "secondd"
    assert raised.value.missing[1].where.endswith(":2")


def test_a_missing_key_in_an_included_file_is_named_with_that_file(studio):
    studio.template("part.j2", "\n\n{{ s('x') }}")
    with pytest.raises(MissingKeys) as raised:
        studio.text("{% include 'part.j2' %}", {})
    assert raised.value.missing[0].where == "part.j2:3"


def test_a_missing_key_in_a_macro_is_named_where_it_is_asked_for(studio):
    with pytest.raises(MissingKeys) as raised:
        studio.text("{% macro m() %}\n{{ s('x') }}{% endmacro %}\n\n{{ m() }}", {})
    assert raised.value.missing[0].where.endswith(":2")


# Recording

OPERATIONS = [
    "{{{{ s.get({p}) }}}}",
    "{{{{ s({p}, 'd') }}}}",
    "{{{{ {p} in s }}}}",
    "{{{{ s.items({p}) }}}}",
    "{{{{ s.children({p}) }}}}",
    "{{{{ s.dirs({p}) }}}}",
    "{{% if {p} in s %}}{{{{ s.items({p}) }}}}{{% endif %}}",
    "{{{{ s.bytes({p})|d('-')|b64encode }}}}",
]
few = st.sampled_from(["a", "b", "a/a", "a/b", "a/a/a", "b/a", "a.b", "ab"])
few_trees = st.dictionaries(few, st.sampled_from(["", "1", "2"]), max_size=6)
programs = st.lists(
    st.tuples(st.sampled_from(OPERATIONS), st.one_of(few, st.just(""))), min_size=1, max_size=3
)


def views_of(first, second):
    trees = {
        name: {path: Entry(value.encode(), 1) for path, value in tree.items()}
        for name, tree in (("one", first), ("two", second))
    }
    return {"s": SourceView("s", Snapshot("s", 1, trees, 0.0).view(["one", "two"]), lambda _: False)}


@settings(max_examples=400)
@given(program=programs, before=st.tuples(few_trees, few_trees), after=st.tuples(few_trees, few_trees))
def test_what_is_recorded_decides_the_result(studio, program, before, after):
    """If the identity is the same, so is the output: nothing that was not recorded can change it."""
    template = "".join(operation.format(p=quoted(path)) for operation, path in program)
    sync = {"template": {"inline": template}, "to": "out"}
    old, new = views_of(*before), views_of(*after)
    first = studio.render(sync, old)
    second = studio.render(sync, new)
    if studio.identity(first, old) == studio.identity(first, new):
        assert first.desired == second.desired


@settings(max_examples=200)
@given(program=programs, tree=few_trees, path=few, value=st.sampled_from(["", "1", "2"]))
def test_identity_changes_with_what_is_recorded_and_with_nothing_else(studio, program, tree, path, value):
    template = "".join(operation.format(p=quoted(at)) for operation, at in program)
    sync = {"template": {"inline": template}, "to": "out"}
    old, new = views_of(tree, {}), views_of({**tree, path: value}, {})
    rendering = studio.render(sync, old)
    reads = rendering.reads
    listed = any(not one.path or path.startswith(one.path + "/") for one in reads.listed)
    recorded = PathRead("s", path) in {*reads.keys, *reads.missed} or (listed and path not in tree)
    changed = tree.get(path) != value
    same = studio.identity(rendering, old) == studio.identity(rendering, new)
    assert same == (not (recorded and changed))


def test_a_key_that_is_gone_changes_the_identity(studio):
    sync = {"template": {"inline": "{{ s('a') }}"}, "to": "out"}
    old = studio.views({"a": "1"})
    rendering = studio.render(sync, old)
    assert studio.identity(rendering, studio.views({})) is None


def test_a_changed_template_changes_the_identity(studio):
    studio.template("part.j2", "one")
    sync = {"template": {"inline": "{% include 'part.j2' %}"}, "to": "out"}
    views = studio.views({})
    rendering = studio.render(sync, views)
    before = studio.identity(rendering, views)
    assert before == studio.identity(rendering, views)
    studio.template("part.j2", "two!")
    assert studio.identity(rendering, views) != before


def test_a_render_that_asked_the_time_has_no_identity(studio):
    views = studio.views({})
    rendering = studio.render({"template": {"inline": "{{ now() }}"}, "to": "out"}, views)
    assert studio.identity(rendering, views) is None
