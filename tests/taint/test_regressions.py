"""Leaks that were found, each on its own."""

from __future__ import annotations

import base64

import pytest

from confsync.redact import DOTS, redactor
from confsync.render.renderer import RenderFailed

PASSWORD = "p@ss-w0rd!x"
STORES = {
    "vault": {"pw": PASSWORD.encode(), "path": f"/{PASSWORD}/".encode()},
    "values": {"host": b"db1.example"},
}
LONG = "ab'c/" * 100


def failure(stage, template, stores=STORES, **sync):
    with pytest.raises(RenderFailed) as caught:
        stage.render({"template": {"inline": template}, "to": "out", **sync}, stores)
    return caught.value


@pytest.mark.parametrize(
    ("expression", "made"),
    [
        ("('user:' ~ vault('pw'))|b64encode", base64.b64encode(b"user:" + PASSWORD.encode()).decode()),
        (
            "('user:%s' % vault('pw'))|b64encode|upper",
            base64.b64encode(b"user:" + PASSWORD.encode()).decode().upper(),
        ),
        ("vault('pw')|upper", PASSWORD.upper()),
        ("vault('pw')[::-1]", PASSWORD[::-1]),
        ("vault('pw').swapcase()", PASSWORD.swapcase()),
        ("'-'.join([vault('pw'), 'x'])|url_quote", "p%40ss-w0rd%21x-x"),
        ("vault('pw')|list|join('.')", ".".join(PASSWORD)),
        ("[vault('pw')]|map('upper')|join(',')", PASSWORD.upper()),
        ("vault('pw')|replace('-', '_')", PASSWORD.replace("-", "_")),
    ],
)
@pytest.mark.parametrize("use", ["{{{{ values({}) }}}}", "{{% include {} %}}", "{{{{ {{}}[{}] }}}}"])
def test_a_name_made_of_a_secret_is_in_no_error_and_not_kept(stage, expression, made, use):
    failed = failure(stage, use.format(expression))

    assert made not in str(failed.error)
    assert DOTS in str(failed.error)
    assert not failed.reads.missed
    assert not failed.reads.templates
    assert failed.reads.impure or "values" not in use


def test_a_name_that_a_template_says_itself_is_in_the_error(stage):
    failed = failure(stage, "{{ vault('pw') }}{{ values('nosuch' ~ '/host') }}")
    assert "no key 'nosuch/host'" in str(failed.error)


def test_of_a_secret_that_is_too_long_for_a_message_no_half_is_shown(stage):
    stores = {"vault": {"pw": LONG.encode()}, "values": {}}
    for use in ("{{ {}[vault('pw')] }}", "{% include vault('pw') %}"):
        assert LONG[:20] not in str(failure(stage, use, stores).error)


@pytest.mark.parametrize(
    "way", ["b64encode", "upper", "reverse", "hex_encode", "url_quote", "replace('p', 'q')"]
)
def test_no_path_is_made_of_what_a_secret_became(stage, way):
    failed = failure(stage, "x", for_each="vault.items()", to="{{ each.value|" + way + " }}")
    assert "a path may not depend on a sensitive value" in str(failed.error)


def test_items_that_collide_are_numbered_where_their_names_may_be_secret(stage):
    failed = failure(
        stage,
        "x",
        for_each="vault.items()|map('last')|map('reverse')",
        to="{{ each.key|length > 3 }}",
    )
    assert PASSWORD[::-1] not in str(failed.error)
    assert "app[2] and app[1] would both write" in str(failed.error)


def test_a_check_does_not_show_a_word_that_a_secret_became(stage):
    template = (
        "[the settings]\nAuthorization {{ ('user:' ~ vault('pw'))|b64encode }} # {{ values('host') }}\n"
    )
    rendering = stage.render({"template": {"inline": template}, "to": "out"}, STORES)
    token = base64.b64encode(b"user:" + PASSWORD.encode()).decode()
    redact = redactor(rendering.secrets)

    assert redact(f"[the settings]: bad token '{token}'") == f"[the settings]: bad token '{DOTS}'"
    assert token[3:18] not in redact(f"error near {token[3:18]}")
    assert (
        redact("cannot resolve db1.example: Authorization fails")
        == "cannot resolve db1.example: Authorization fails"
    )
