"""Leaks that were found, each on its own."""

from __future__ import annotations

import base64
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from confsync.clock import SystemClock
from confsync.config.loading import load_config
from confsync.ledger.ledger import Ledger, memory_ledger
from confsync.reconcile.apply import Applier
from confsync.reconcile.core import Core
from confsync.reconcile.reconciler import Reconciler
from confsync.redact import DOTS, redactor
from confsync.redact import words as words_of
from confsync.render.renderer import RenderFailed
from confsync.sinks import sink_for

PASSWORD = "p@ss-w0rd!x"
QUOTED = 'ab"cd"ef'
STORES = {
    "vault": {"pw": PASSWORD.encode(), "path": f"/{PASSWORD}/".encode(), "quoted": QUOTED.encode()},
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
        ("'%.9s' % vault('pw')", PASSWORD[:9]),
        (
            "vault('pw')|map('hex_encode')|join(',')|upper",
            ",".join(char.encode().hex() for char in PASSWORD).upper(),
        ),
        ("{vault('pw'): 1}|to_json|b64encode", base64.b64encode(f'{{"{PASSWORD}": 1}}'.encode()).decode()),
        ("{vault('quoted'): 1}|to_json|upper", QUOTED.replace('"', '\\"').upper()),
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


def test_a_list_of_templates_whose_names_are_undefined_is_an_error_like_any_other(stage):
    failed = failure(stage, "{% include [vault('pw')]|map(attribute='x')|list %}")
    assert str(failed.error) == "syncs.app.template:1: the name of a template is undefined"


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


@pytest.mark.parametrize(
    ("sync", "word"),
    [
        (
            {"template": {"inline": "{% for c in vault('pw') %}{{ loop.index }}{{ c|upper }}{% endfor %}\n"}},
            "6W70",
        ),
        ({"data": {"KEY": {"template": "{% for c in vault('pw') %}x{{ c }}{% endfor %}"}}}, "xw"),
        ({"data": {"KEY": "vault:unicode"}}, "u00e9bcd"),
    ],
)
def test_a_check_does_not_show_words_that_nobody_has_followed(stage, sync, word):
    stores = {**STORES, "vault": {**STORES["vault"], "unicode": "ab\u00e9bcd\u00e9efgh".encode()}}
    rendering = stage.render({"to": {"file": {"path": "out", "format": "properties"}}, **sync}, stores)
    (desired,) = rendering.desired
    words = sorted(words_of(desired.content.decode().replace("KEY", "")), key=len)

    assert any(word in one for one in words)
    assert (
        redactor(rendering.secrets)(f"cannot use {words[-1]} for KEY here")
        == f"cannot use {DOTS} for KEY here"
    )


def test_what_is_made_of_a_secret_is_not_kept_without_end(stage):
    template = "{% for i in range(120) %}{{ ((vault('pw') ~ i) * 40000)|b64encode|length }}\n{% endfor %}"
    tracemalloc.start()
    try:
        stage.render({"template": {"inline": template}, "to": "out"}, STORES)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 40 * 1024**2


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


@contextmanager
def opened(
    directory: Path, sync: Mapping[str, Any], ledger: Ledger | None = None, **values: str
) -> Iterator[Core]:
    """A core with one sync `s` and two sources: `v` is sensitive, `e` is not."""
    for name in "ve":
        (directory / f"{name}.yaml").write_text(yaml.safe_dump({"key": values.get(name, "")}))
    sources = {name: {"backend": "file", "path": f"{name}.yaml", "sensitive": name == "v"} for name in "ve"}
    (directory / "confsync.yaml").write_text(yaml.safe_dump({"sources": sources, "syncs": {"s": dict(sync)}}))
    core = Core.open(load_config(directory / "confsync.yaml"), ledger or memory_ledger(SystemClock()))
    try:
        core.hub.refresh()
        yield core
    finally:
        core.close()


def reconciled(directory: Path, sync: Mapping[str, Any], **values: str) -> str:
    """What is told of a sync whose reload, check or render fails."""
    with opened(directory, sync, **values) as core:
        report = Reconciler(core).run_once()
    return f"{[result.error for result in report.reloads]} {report.outcomes['s'].record.detail}"


def test_a_reload_does_not_show_a_word_that_a_secret_became(tmp_path):
    token = base64.b64encode(b"user:" + PASSWORD.encode()).decode().rstrip("=")
    template = "Authorization {{ ('user:' ~ v('key'))|b64encode }} # {{ e('key') }}\n"
    show = f"cut -c15- {tmp_path}/out | tr -d =; echo because Authorization; exit 1"
    sync = {"template": {"inline": template}, "to": "out", "reload": {"shell": show}}
    told = reconciled(tmp_path, sync, v=PASSWORD, e="db1.example")

    assert token in (tmp_path / "out").read_text()
    assert token not in told
    assert "because Authorization" in told
    assert "db1.example" in told


def test_a_sync_that_is_sensitive_by_itself_withholds_what_python_says_of_a_value(tmp_path):
    sync = {"template": {"inline": "{{ e('key')|round }}"}, "to": "out", "sensitive": True}
    told = reconciled(tmp_path, sync, e=PASSWORD)

    assert "details withheld" in told
    assert PASSWORD not in told


def test_a_check_that_compares_with_the_target_does_not_show_the_secret_of_before(tmp_path):
    template = {"inline": "Authorization {{ ('user:' ~ v('key'))|b64encode }}\nport = 80\n"}
    sync = {"template": template, "to": "out", "check": {"shell": "diff $CONFSYNC_PATH $CONFSYNC_STAGED"}}
    ledger = memory_ledger(SystemClock())
    old, new = PASSWORD, PASSWORD[::-1]
    for password in (old, new):
        with opened(tmp_path, {**sync, "check": []} if password == old else sync, ledger, v=password) as core:
            told = Reconciler(core).run_once().outcomes["s"].record.detail

    assert "diff" in told
    for password in (old, new):
        assert base64.b64encode(f"user:{password}".encode()).decode() not in told


def test_a_reload_that_shows_what_was_written_meanwhile_does_not_show_the_secret(tmp_path):
    lines = [f"Authorization {base64.b64encode(f'us:{n}{PASSWORD}'.encode()).decode()}" for n in "01"]
    show = f"cat {tmp_path}/out; echo '{lines[1]}' > {tmp_path}/out; cat {tmp_path}/out; exit 1"
    template = {"inline": "Authorization {{ ('us:0' ~ v('key'))|b64encode }}\n"}
    (tmp_path / "show").write_text(show)
    told = reconciled(
        tmp_path, {"template": template, "to": "out", "reload": {"shell": f"sh {tmp_path}/show"}}, v=PASSWORD
    )
    assert "failed with exit status 1" in told
    assert (tmp_path / "out").read_text() == lines[1] + "\n"
    assert [line for line in lines if line in told] == []


@pytest.mark.parametrize("action", ["check", "reload"])
def test_what_a_sync_that_is_sensitive_by_itself_has_read_is_shown_by_no_command(tmp_path, action):
    show = {"shell": f"cut -d' ' -f2 ${{CONFSYNC_STAGED:-{tmp_path}/out}}; exit 1"}
    sync = {"template": {"inline": "set {{ e('key') }} now\n"}, "to": "out", "sensitive": True, action: show}
    told = reconciled(tmp_path, sync, e=PASSWORD)

    assert "failed with exit status 1" in told
    assert PASSWORD not in told


def test_a_plan_after_a_kill_hides_the_secret_that_the_target_was_to_lose(tmp_path):
    ledger = memory_ledger(SystemClock())
    with opened(
        tmp_path, {"template": {"inline": "a {{ v('key') }}\n"}, "to": "out"}, ledger, v=PASSWORD
    ) as core:
        Reconciler(core).run_once()
    with opened(tmp_path, {"template": {"inline": "a constant\n"}, "to": "out"}, ledger, v=PASSWORD) as core:
        assessment = Reconciler(core).assess("s")
        Applier(core)._intend(assessment, assessment.steps)  # and here it is killed
        (step,) = Reconciler(core, with_diffs=True).assess("s").steps

    assert PASSWORD in (tmp_path / "out").read_text()
    assert PASSWORD not in "".join(step.change.diff)
    assert "+a constant" in step.change.diff


@pytest.mark.parametrize(("mode", "shown"), [(0o600, False), (0o644, True)])
def test_what_only_its_owner_may_read_is_shown_by_no_plan_that_replaces_it(tmp_path, mode, shown):
    (tmp_path / "out").write_text(f"a {PASSWORD}\n")
    (tmp_path / "out").chmod(mode)
    with opened(tmp_path, {"template": {"inline": "a constant\n"}, "to": "out"}) as core:
        (step,) = Reconciler(core, with_diffs=True).assess("s").steps

    assert (PASSWORD in "".join(step.change.diff)) is shown
    assert "+a constant" in step.change.diff


def test_no_repr_shows_a_value(tmp_path):
    sync = {"template": {"inline": "a {{ v('key') }}\n"}, "to": "out"}
    with opened(tmp_path, sync, v=PASSWORD) as core:
        assessment = Reconciler(core, with_diffs=True).assess("s")
        (step,) = assessment.steps
        Reconciler(core).run_once()
        actual = sink_for(step.spec).observe(step.spec)
        shown = [repr(one) for one in (assessment, step, actual, core.views(None), core)]

    assert PASSWORD.encode() in actual.content
    assert [text for text in shown if PASSWORD in text] == []
