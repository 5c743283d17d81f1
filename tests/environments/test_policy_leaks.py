"""Whatever the rules, no value that they hold back comes out of a view or of a render.

What a rule names is told here as anybody would read it: fnmatch of the key, or of its secret, below the environment's
prefix or from the root; a field is below its secret too.
"""

from __future__ import annotations

import base64
import fnmatch
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from stand_ins.laptop import REAL, policy_of, rendered, view_of

from confsync.errors import ConfsyncError, SourceError

LOCAL = "localhost"


class Key(NamedTuple):
    """One real value."""

    source: str
    place: str
    path: str
    value: str

    @property
    def names(self):
        if self.source == "values":
            return [self.path, f"/{self.place}/{self.path}"]
        return [self.path, f"kv/{self.place}/{self.path}", f"/kv/{self.place}/{self.path}"]


def field_of(place, secret, field):
    return Key("vault", place, f"{secret.replace('#', '%23')}#{field}", f"{REAL}{place}-{secret}-{field}")


KEYS = [
    *(
        Key("values", "prod", path, f"{REAL}prod-{path}")
        for path in ("db/host", "db/port", "api/url", "a[0]")
    ),
    Key("values", "common", "shared", f"{REAL}common-shared"),
]
FIELDS = [
    field_of(place, secret, field)
    for place in ("prod", "common")
    for secret in ("db", "team/db", "payment", "north#pw", "a b")
    for field in ("password", "user", "card#no")
]
SMTP = Key("vault", "elsewhere", "/elsewhere/smtp#password", f"{REAL}smtp")

PATTERNS = [
    *(key.path for key in KEYS), *(f"vault:{key.path}" for key in FIELDS), "db", "db/*", "team/", "*", "vault:",
    "values:", "values:db/*", "vault:db", "db#password", "vault:team/*", "d*", "*host", "*#password", "*#user",
    "/kv/prod/db",
    "/kv/common/*", "/prod/db/*", "**/db", "[dp]*", "a[[]0]", "vault:payment#*", "vault:/elsewhere/smtp",
    "/kv/*/db#user",
]  # fmt: skip
ONE = [
    *(key.path for key in KEYS[:3]),
    *(f"vault:{key.path}" for key in FIELDS),
    "vault:/elsewhere/smtp#password",
]
RULES = st.fixed_dictionaries(
    {
        "deny": st.lists(st.sampled_from(PATTERNS), max_size=3),
        "substitute": st.dictionaries(st.sampled_from(ONE), st.just(LOCAL), max_size=3),
    },
    optional={"allow": st.lists(st.sampled_from(PATTERNS), max_size=4)},
)


def names(text, key):
    """Whether a pattern names a key."""
    source, colon, glob = text.rpartition(":")
    if colon and source != key.source:
        return False
    glob = f"{glob}*" if not glob or glob.endswith("/") else glob
    every = [
        name
        for full in key.names
        for name in (
            full,
            *([full.partition("#")[0], full.replace("#", "/", 1)] if key.source == "vault" else ()),
        )
    ]
    return any(fnmatch.fnmatchcase(name, glob) for name in every)


def is_substituted(rules, key):
    return not {key.path, f"{key.source}:{key.path}"}.isdisjoint(rules["substitute"])


def may_come_down(rules, key):
    if is_substituted(rules, key) or any(names(text, key) for text in rules["deny"]):
        return False
    return "allow" not in rules or any(names(text, key) for text in rules["allow"])


def held_back_in(text, rules):
    """The real values in a text, as they are or changed a little, that the rules hold back."""
    return [
        key
        for key in (*KEYS, *FIELDS, SMTP)
        if not may_come_down(rules, key)
        and any(form in text for form in (key.value, key.value.upper(), encoded(key.value), key.value[::-1]))
    ]


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def shown(view, path):
    """What a view gives at a path: its value; of a secret each field too, or why it is refused."""
    try:
        looked = view.look_up(path)
    except SourceError as exc:
        return [str(exc), repr(exc), repr(exc.__dict__)]
    if looked is None:
        return []
    found, value = looked
    fields = value.values() if hasattr(value, "values") else ()
    return [found.entry.value.decode(), *map(text_of, fields)]


def text_of(value):
    try:
        return str(value)
    except SourceError as exc:
        return str(exc)


@settings(max_examples=80)
@given(RULES, st.sampled_from(KEYS), st.sampled_from(["{}", "/{}", "{}/"]))
def test_no_view_of_keys_shows_what_is_held_back(opened, rules, key, spelling):
    seen = shown(view_of(opened, policy_of(opened, **rules), "values"), spelling.format(key.path))

    assert not held_back_in("\n".join(seen), rules)
    if is_substituted(rules, key):
        assert seen == [LOCAL]


@settings(max_examples=80)
@given(
    RULES,
    st.sampled_from(FIELDS),
    st.sampled_from(["{}", "/kv/{place}/{}", "/kv/{place}/{}/", "{}?version=1"]),
)
def test_no_view_of_secrets_shows_what_is_held_back(opened, rules, key, spelling):
    secret, _, field = key.path.partition("#")
    secret = spelling.format(secret, place=key.place)
    view = view_of(opened, policy_of(opened, **rules), "vault")

    seen = [*shown(view, secret), *shown(view, f"{secret}#{field}")]

    assert not held_back_in("\n".join(seen), rules)
    if is_substituted(rules, key):
        assert seen.count(LOCAL) >= 2


TEMPLATES = [
    "{{ values.items()|map('last')|join('|') }}", "{{ values('db/host') }}{{ values('api/url')|upper }}",
    "{{ values.children('db')|map('last')|join }}", "{{ vault('db')|to_json }}",
    "{{ vault('/kv/common/db').user|reverse }}",
    "{{ vault('db').password }}{{ vault('payment').user|b64encode }}", "{{ vault('a b').items() }}",
    "{{ vault('team/db#card#no') }}", "{{ vault('/elsewhere/smtp').values()|join }}", "{{ values(vault('db').user) }}",
    "{% for one in vault.list() if not one.endswith('/') %}{{ vault(one).user }}{% endfor %}",
    "{{ vault('north%23pw?version=1').password|default('none') }}", "{{ vault('nowhere')[vault('db').password] }}",
    "{{ vault('db').password|int + values('db/port') }}", "{{ vault(values('db/host')) }}",
    "{% include vault('db').user %}",
]  # fmt: skip


@settings(max_examples=80)
@given(RULES, st.sampled_from(TEMPLATES))
def test_no_render_shows_what_is_held_back(opened, rules, template):
    try:
        text = rendered(opened, policy_of(opened, **rules), template)
    except ConfsyncError as exc:
        text = f"{exc}\n{exc!r}\n{exc.__dict__}"

    assert not held_back_in(text, rules)
