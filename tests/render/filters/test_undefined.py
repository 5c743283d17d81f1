"""Nothing takes an undefined value for an empty one."""

# ruff: noqa: E501 - a table's rows stay on one line
from __future__ import annotations

import pytest
from jinja2 import Undefined, UndefinedError

from confsync.driver import Entry
from confsync.render.filters import FILTERS, GLOBALS, TESTS, guards
from confsync.render.lookup import SourceLookup
from confsync.render.recorder import Recorder
from confsync.render.source_view import SourceView
from confsync.snapshot import Snapshot

OWN = sorted(set(FILTERS) - set(guards.FILTERS))
ARGUMENTS = {
    "trim_prefix": "('a')", "trim_suffix": "('a')", "ternary": "(1, 2)", "ip_in": "('10.0.0.0/8')", "hmac_sha256": "('k')",
}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_a_filter_of_something_undefined_is_an_error(render, name):
    with pytest.raises(UndefinedError, match="nowhere"):
        render("{{ nowhere|" + name + ARGUMENTS.get(name, "") + " }}")


@pytest.mark.parametrize("name", OWN)
def test_even_the_undefined_that_jinja_lets_pass_is_an_error(name):
    with pytest.raises(UndefinedError):
        FILTERS[name](Undefined(name="nowhere"))


@pytest.mark.parametrize("name", sorted(TESTS))
def test_a_test_of_something_undefined_is_an_error(render, name):
    with pytest.raises(UndefinedError, match="nowhere"):
        render("{{ nowhere is " + name + " }}")


@pytest.mark.parametrize("template", [
    "{{ 'a'|trim_prefix(nowhere) }}", "{{ 'a'|hmac_sha256(key=nowhere) }}", "{{ [1, {'a': nowhere}]|to_json }}",
    "{{ [nowhere]|to_yaml }}", "{{ {'a': nowhere}|to_toml }}", "{{ env(nowhere) }}", "{{ now(nowhere) }}",
    "{{ seq(1, nowhere) }}", "{{ nowhere|join(',') }}", "{{ nowhere|indent }}", "{{ nowhere|replace('a', 'b') }}",
    "{{ nowhere|format(1) }}", "{{ nowhere|center }}", "{{ nowhere|tojson }}", "{{ nowhere|list }}", "{{ nowhere|sum }}",
])  # fmt: skip
def test_an_undefined_argument_or_part_is_an_error(render, template):
    with pytest.raises(UndefinedError, match="nowhere"):
        render(template)


def test_a_missing_key_is_noted_and_the_render_goes_on_to_the_next(render):
    recorder = Recorder()
    snapshot = Snapshot("etcd", 1, {"": {"known": Entry(b"x", 1)}}, 0.0)
    source = SourceLookup(SourceView("etcd", snapshot.view([""]), lambda _: False), recorder)

    render("{{ etcd('a')|shell_quote }}{{ etcd('b')|from_json }}{{ etcd('c')|b64encode }}", etcd=source)

    assert sorted(read.path for read in recorder.bad_keys.missing) == ["a", "b", "c"]


def test_every_global_refuses_undefined_arguments():
    for name in ("env", "lookup_txt", "now", "seq"):
        with pytest.raises(UndefinedError):
            GLOBALS[name](Undefined(name="nowhere"))
