"""No filter can be made to build gigabytes, or to take for ever."""

from __future__ import annotations

import time

import pytest

from confsync.errors import LimitExceeded, RenderError
from confsync.render.filters import FILTERS

BOMBS = [
    "{{ 'a'|indent(10000000) }}",
    "{{ ('\\n' * 100000)|indent(1000000) }}",
    "{{ ('\\n' * 100000)|nindent(1000000) }}",
    "{{ ('\\n' * 100000)|comment('#' * 100000) }}",
    "{{ 'a'|center(10000000) }}",
    "{{ [1]|batch(10000000, 0)|list }}",
    "{{ [1]|slice(10000000)|list }}",
    "{{ 'a'|wordwrap(10000000) }}",
    "{{ ('a' * 2000000)|wordwrap(1) }}",
    "{{ '%9999999d'|format(1) }}",
    "{{ '%.9999999f'|format(1) }}",
    "{{ '%*d'|format(10000000, 1) }}",
    "{{ ('%999999d' * 1000)|format(1) }}",
    "{{ ('%(a)s' * 100000)|format(a='a' * 100000) }}",
    "{{ [1]|tojson(indent=10000000) }}",
    "{{ [1]|to_json(indent=10000000) }}",
    "{{ [1]|to_yaml(indent=10000000) }}",
    "{{ 'abc'|truncate(10000000) }}",
    "{{ ('a' * 100000)|replace('a', 'b' * 100000) }}",
    "{{ ('a' * 100000)|replace('', 'b' * 100000) }}",
    "{{ range(100000)|join('a' * 100000) }}",
    "{{ (['a' * 100000] * 10000)|join }}",
    "{{ ([{'x': 'a' * 100000}] * 10000)|join(attribute='x') }}",
    "{{ (['a' * 100000] * 10000)|to_json }}",
    "{{ (['a' * 100000] * 10000)|tojson }}",
    "{{ 5|round(-1000000000) }}",
    "{{ 5|round(1000000000, 'floor') }}",
    "{{ ('<!---->' * 100000)|striptags }}",
    "{{ ('a@' * 100000)|urlize }}",
    "{{ ('a' * 2000000)|list }}",
    "{{ seq(1, 100001) }}",
    "{{ seq(1, 99999999999999999999) }}",
    "{{ 0|strftime('%9999999Y') }}",
    "{{ 0|strftime('%_9999999Y') }}",
    "{{ ('\\0' * 30000000)|json_string }}",
]


@pytest.mark.parametrize("template", BOMBS)
def test_what_would_grow_without_bounds_is_refused_at_once(render, template):
    started = time.thread_time()

    with pytest.raises(LimitExceeded):
        render(template)

    assert time.thread_time() - started < 4


def test_yaml_aliases_that_multiply_are_refused(render):
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )

    with pytest.raises(LimitExceeded, match="from_yaml"):
        render("{{ bomb|from_yaml }}", bomb=bomb)


def test_yaml_merge_keys_that_multiply_are_refused(render):
    bomb = "a: &a {k: 1}\n" + "".join(
        f"{name}: &{name} {{<<: [{','.join([f'*{before}'] * 10)}]}}\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )

    with pytest.raises(RenderError, match="from_yaml"):
        render("{{ bomb|from_yaml }}", bomb=bomb)


def test_data_that_holds_itself_is_refused():
    loop: list[object] = []
    loop.append(loop)

    with pytest.raises(RenderError, match="nested"):
        FILTERS["to_json"](loop)


@pytest.mark.parametrize("name", ["from_json", "from_yaml", "from_toml"])
@pytest.mark.parametrize("depth", [101, 5000, 200_000])
def test_deep_nesting_is_an_error_and_no_crash(render, name, depth):
    with pytest.raises(RenderError, match=name):
        render("{{ deep|" + name + " }}", deep=("a = " if name == "from_toml" else "") + "[" * depth)


@pytest.mark.parametrize("template", ["{{ [1, 2]|random }}", "{{ lipsum(1) }}"])
def test_randomness_is_refused_because_every_look_would_be_a_change(render, template):
    with pytest.raises(RenderError, match="change every minute"):
        render(template)


@pytest.mark.parametrize(("template", "result"), [
    ("{{ 'a\nb'|indent('>>', first=true) }}", ">>a\n>>b"),
    ("{{ '%s: %-6s|'|format('a', 'b') }}", "a: b     |"),
    ("{{ '%d'|format(50000000) }}", "50000000"),
    ("{{ '%(a)s'|format(a=1) }}", "1"),
    ("{{ 'aXbX'|replace('X', '-', 1) }}", "a-bX"),
    ("{{ [{'n': 1}, {'n': 2}]|sum('n') }}", "3"),
    ("{{ [{'n': 1}, {'n': 2}]|join('+', 'n') }}", "1+2"),
    ("{{ 2.567|round(2) }} {{ 7|round(-1)|int }}", "2.57 10"),
    ("{{ {'a': [1]}|tojson(indent=1) }}", '{\n "a": [\n  1\n ]\n}'),
    ("{{ 'aaa bbb'|wordwrap(3, wrapstring='|') }}", "aaa|bbb"),
    ("{{ [3, 1]|map('string')|list }}", "['3', '1']"),
])  # fmt: skip
def test_within_the_limits_jinjas_filters_are_as_ever(render, template, result):
    assert render(template) == result
