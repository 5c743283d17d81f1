"""What is decoded or cut from a sensitive value is as secret as the value."""

from __future__ import annotations

import base64
import json

import pytest

from confsync.errors import RenderError
from confsync.redact import DOTS, redactor

PASSWORD = "p@ss-w0rd!"
TREE = {
    "cfg": json.dumps({"password": PASSWORD, "pin": 83920175, "list": [["deep#er-1"]]}),
    "yaml": f"password: '{PASSWORD}'",
    "toml": f"password = '{PASSWORD}'",
    "enc": base64.b64encode(PASSWORD.encode()).decode(),
    "hex": PASSWORD.encode().hex(),
    "dsn": "db://us-er:p%40ss-w0rd!@h:1/x",
    "pair": f"us-er,{PASSWORD}",
}


def hidden(studio, template, shown, sync=None):
    sync = sync or {"template": {"inline": template}, "to": "out"}
    rendering = studio.render(sync, studio.views(TREE, sensitive="*"))
    return redactor(rendering.secrets)(shown)


@pytest.mark.parametrize(
    ("expression", "secret"),
    [
        ("s.json('cfg').password", PASSWORD),
        ("s.json('cfg').pin", "83920175"),
        ("s.json('cfg')['list']", "deep#er-1"),
        ("s.yaml('yaml').password", PASSWORD),
        ("(s('yaml')|from_yaml).password", PASSWORD),
        ("(s('cfg')|from_json).password", PASSWORD),
        ("(s('toml')|from_toml).password", PASSWORD),
        ("s('enc')|b64decode", PASSWORD),
        ("s.bytes('enc')|b64decode", PASSWORD),
        ("s('enc')|b64url_decode", PASSWORD),
        ("s('hex')|hex_decode", PASSWORD),
        ("(s('dsn')|url_parse).password", PASSWORD),
        ("(s('pair')|split(','))[1]", PASSWORD),
        ("s('pair').split(',')[1]", PASSWORD),
        ("s('pair').partition(',')[2]", PASSWORD),
        ("s('pair')|trim_prefix('us-er,')", PASSWORD),
        ("[s('enc')]|map('b64decode')|first", PASSWORD),
        ("(s('enc')[:-1] ~ '=')|b64decode", PASSWORD),
        ("((s('enc')|b64decode).split('-'))[1] ~ ''", "w0rd!"),
    ],
)
def test_what_is_taken_from_a_secret_is_hidden_on_its_own(studio, expression, secret):
    assert (
        hidden(studio, "{{ " + expression + " }}", f"cannot use {secret} here") == f"cannot use {DOTS} here"
    )


def test_a_line_with_a_secret_made_otherwise_is_hidden_whole_and_the_templates_own_lines_are_not(studio):
    template = "[database settings]\npassword={{ s('pair')[6:]|reverse }}\nuser={{ s('pair')[:5] }}\n"
    shown = "in [database settings]\nbad line: password=!dr0w-ss@p\n"
    assert hidden(studio, template, shown) == f"in [database settings]\nbad line: {DOTS}\n"


def test_lines_of_a_directory_and_of_data_are_hidden_too(studio):
    templates = {
        "templates": {"a": {"inline": "password={{ s('pair')[6:]|reverse }}"}},
        "to": {"directory": "d"},
    }
    assert hidden(studio, "", "password=!dr0w-ss@p", templates) == DOTS
    data = {"data": {"PASSWORD": {"template": "{{ s('pair')[6:]|reverse }}"}}, "to": "x.env"}
    assert "dr0w" not in hidden(studio, "", "PASSWORD='!dr0w-ss@p'", data)


def test_lines_of_a_file_without_secrets_are_shown(studio):
    sync = {"template": {"inline": "password={{ s('pair')[6:]|reverse }}"}, "to": "out"}
    assert studio.render(sync, studio.views(TREE)).secrets == frozenset()


def test_a_path_made_of_what_was_taken_from_a_secret_is_refused(studio):
    sync = {"template": {"inline": "x"}, "for_each": "s.json('cfg').items()", "to": "x{{ each.value }}"}
    with pytest.raises(RenderError, match="a path may not depend on a sensitive value") as caught:
        studio.render(sync, studio.views(TREE, sensitive="*"))
    assert PASSWORD not in str(caught.value)


def test_a_path_that_says_itself_what_a_secret_says_is_no_path_made_of_it(studio):
    sync = {
        "template": {"inline": "{{ s.json('cfg').name }}"},
        "for_each": "['a', 'b']",
        "to": "shop/{{ each.key }}",
    }
    rendering = studio.render(sync, studio.views({"cfg": '{"name": "shop"}'}, sensitive="*"))
    assert len(rendering.desired) == 2
