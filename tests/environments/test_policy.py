"""What of an environment may come down: no spelling, listing, render or decryption shows what a rule holds back."""

from __future__ import annotations

import json

import pytest
from stand_ins.laptop import REAL, policy_of, rendered, view_of

from confsync.environments.policy import Kind, Policy
from confsync.errors import ConfigError, Denied, HeldBack, RenderError, SourceError
from confsync.render.refused_field import RefusedField
from confsync.snapshot import View

LOCAL = "localhost"


def shown(view, path):
    """What a view gives at a path, as text."""
    looked = view.look_up(path)
    return None if looked is None else looked[0].entry.value.decode()


# Each rule, and its name


def test_without_an_entry_nothing_is_restricted(opened):
    config = opened.loaded.config
    assert config.local == {}
    policy = Policy(opened.loaded, opened.hub, "prod")

    assert policy.ruling("values", "db/host") == (Kind.ALLOWED, "", "", "")
    assert policy.view("values", opened.hub.view("values", "prod")) is opened.hub.view("values", "prod")
    assert (policy.closes("vault"), policy.closes("vault", "db")) == (None, None)


def test_an_environment_has_to_be_named_where_some_have_rules(stocked):
    stocked.configure(local={"prod": {"deny": ["db/*"]}})
    with stocked.core() as core, pytest.raises(ConfigError, match="say which one"):
        Policy(core.loaded, core.hub, None)


def test_a_ruling_names_the_rule_and_where_it_stands(stocked):
    stocked.configure(
        local={"prod": {"deny": ["x", "db/*"], "allow": ["db/*"], "substitute": {"db/host": LOCAL}}}
    )
    with stocked.core() as core:
        policy = Policy(core.loaded, core.hub, "prod")
        text = (stocked.directory / "confsync.yaml").read_text().splitlines()
        found = {path: policy.ruling("values", path) for path in ("db/host", "db/port", "api/url")}

    def written_at(ruling):
        file, line, column = ruling.place.rsplit(":", 2)
        assert file == str(stocked.directory / "confsync.yaml")
        return text[int(line) - 1][int(column) - 1 :]

    assert [one.kind for one in found.values()] == [Kind.SUBSTITUTED, Kind.HELD_BACK, Kind.HELD_BACK]
    assert [one.rule for one in found.values()] == [
        'local.prod.substitute "db/host"', 'local.prod.deny "db/*"', "local.prod.allow",
    ]  # fmt: skip
    assert [written_at(one) for one in found.values()] == [f"db/host: {LOCAL}", "db/*", "allow:"]
    assert policy.place("local.prod.allow") == found["api/url"].place
    assert policy.place("no such rule") == ""


def test_what_is_held_back_says_by_which_rule_and_nothing_of_the_value(opened):
    with pytest.raises(HeldBack) as raised:
        view_of(opened, policy_of(opened, deny=["db/*"]), "values").find("db/host")

    error = raised.value
    assert (error.rule, error.key) == ('local.prod.deny "db/*"', "values:db/host")
    assert error.message.startswith('values:db/host is held back by local.prod.deny "db/*" (')
    assert error.hint == (
        "give it a value with substitute in local.prod, or deny less: allowing it does not help"
    )
    with pytest.raises(HeldBack) as caught:
        view_of(opened, policy_of(opened, allow=["api/*"]), "values").find("db/host")
    assert caught.value.hint == "give it a value with substitute in local.prod, or allow it"
    assert isinstance(error, SourceError)
    assert REAL not in repr(error) + str(error)


def test_deny_wins_over_allow_and_a_substitute_over_both(opened):
    policy = policy_of(opened, allow=["db/*"], deny=["db/*"], substitute={"db/host": LOCAL})

    assert policy.ruling("values", "db/host").kind is Kind.SUBSTITUTED
    assert policy.ruling("values", "db/port").rule == 'local.prod.deny "db/*"'


# A denial, in every spelling

SPELLINGS = [
    "db#password", "db?version=1#password", "/kv/prod/db#password", "/kv/common/db#password", "/kv/prod/db/#password",
    "kv/../db#password", "db#", "db", "/kv/prod/db", "db?version=1",
]  # fmt: skip
DENIALS = [
    "db#password", "vault:db#password", "vault:db", "db", "vault:", "*", "/kv/prod/db", "*#password", "**/db", "db/",
    "vault:/kv/prod/db#password", "d?#pass*", "vault:db#*", "/kv/prod/", "kv/*",
    "db/*", "db/password", "*/password", "vault:db/**", "/kv/prod/db/*",
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "path"),
    [(rule, path) for rule in DENIALS for path in SPELLINGS if "kv/prod" not in rule or "common" not in path],
)
def test_no_spelling_of_a_denied_secret_shows_it(opened, rule, path):
    view = view_of(opened, policy_of(opened, deny=[rule]), "vault")

    try:
        found, value = view.look_up(path) or (None, {})
    except SourceError:
        return
    assert "password" not in json.loads(found.entry.value)
    with pytest.raises(HeldBack):
        str(value["password"])


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("db/*", "db/host"),
        ("db", "db/host"),
        ("db/", "db/host"),
        ("values:db/*", "db/host"),
        ("values:", "db/host"),
        ("**/host", "db/host"),
        ("**/shared", "shared"),
        ("db/**/host", "db/host"),
        ("/prod/db/*", "db/host"),
        ("values:/common/*", "shared"),
        ("/prod", "db/host"),
        ("a[0]", "a[0]"),
        ("a[[]0]", "a[0]"),
        ("d[ab]/h?st", "db/host"),
        ("/db/host/", "db/host"),
        ("./db", "db/host"),
        ("values:./db/*", "db/host"),
        ("db//host", "db/host"),
        ("db/./host", "db/host"),
        ("api/../db", "db/host"),
        ("//prod//db", "db/host"),
    ],
)
def test_a_denial_is_read_generously(opened, rule, path):
    policy = policy_of(opened, deny=[rule])

    assert policy.ruling("values", path).kind is Kind.HELD_BACK
    for spelled in (path, f"/{path}", f"{path}/"):
        with pytest.raises(HeldBack):
            view_of(opened, policy, "values").find(spelled)


@pytest.mark.parametrize("path", ["caf\u00e9/x", "cafe\u0301/x"])
@pytest.mark.parametrize("rule", ["caf\u00e9", "cafe\u0301/*"])
def test_a_denial_holds_however_letters_are_composed(opened, rule, path):
    policy = policy_of(opened, deny=[rule])
    assert policy.ruling("values", path).kind is Kind.HELD_BACK
    assert policy.ruling("vault", f"{path}#password").kind is Kind.HELD_BACK


@pytest.mark.parametrize(
    ("rule", "source", "path"),
    [
        ("db/*", "values", "dbs/host"),
        ("db", "values", "dbs"),
        ("vault:*", "values", "db/host"),
        ("db#password", "vault", "db#user"),
        ("payment#*", "vault", "payment/more#user"),
        ("/dev/db/*", "values", "db/host"),
        ("team/*", "vault", "db#user"),
    ],
)
def test_a_denial_does_not_hold_for_what_it_does_not_name(opened, rule, source, path):
    assert policy_of(opened, deny=[rule]).ruling(source, path).kind is Kind.ALLOWED


@pytest.mark.parametrize("rule", ["pay", "values:pay", "pay/*", "pay#token", "pay/token", "/prod/pay"])
def test_a_file_that_stands_in_for_a_store_of_secrets_is_denied_alike(laptop, rule):
    laptop.values(prod={"pay#token": REAL, "payment": "public"})
    laptop.configure(local={"prod": {"deny": [rule]}})

    collected = laptop.collect("prod", "values:")

    assert [one.key for one in collected.held_back] == ["values:pay#token"]
    assert [one.name for one in collected.variables] == ["PAYMENT"]


# One stored key that an environment shows by two names, since one of its prefixes lies below another


@pytest.fixture
def nested(laptop):
    laptop.document["environments"] = {
        "prod": {"values": ["prod/shop", "prod"], "vault": "kv/prod"},
        "all": {"vault": "kv/prod"},
    }
    laptop.values(prod={"shop/db/password": REAL, "shop/api": "a", "web": "w"})
    return laptop


@pytest.mark.parametrize(
    "rule", ["db/*", "shop/db/*", "db/password", "/prod/shop/db/*", "prod/shop/db/*", "db"]
)
def test_a_denied_key_is_denied_by_both_its_names(nested, rule):
    nested.configure(local={"prod": {"deny": [rule]}})

    collected = nested.collect("prod", "values:")

    assert {one.key for one in collected.held_back} == {"values:db/password", "values:shop/db/password"}
    assert {one.name for one in collected.variables} == {"API", "SHOP_API", "WEB"}


@pytest.mark.parametrize("key", ["db/password", "shop/db/password"])
def test_a_substitute_stands_in_for_a_key_by_both_its_names(nested, key):
    nested.configure(local={"prod": {"substitute": {key: LOCAL}}})

    assert nested.variables("prod", "values:") == {
        "API": "a", "SHOP_API": "a", "WEB": "w", "DB_PASSWORD": LOCAL, "SHOP_DB_PASSWORD": LOCAL,
    }  # fmt: skip


@pytest.mark.parametrize("glob", ["db/password", "shop/db/*", "/prod/shop/db/password"])
def test_a_secret_by_one_name_is_one_by_all_in_every_environment(nested, glob):
    nested.document["sources"]["values"]["sensitive"] = [glob]
    nested.configure()

    for environment in ("prod", "all"):
        collected = nested.collect(environment, "values:")
        assert {one.sensitive for one in collected.variables if one.value == REAL} == {True}
        assert not any(one.sensitive for one in collected.variables if one.name.endswith("WEB"))


@pytest.mark.parametrize("path", ["..", "db//x#y", "db#", "", "a?x#y"])
def test_what_is_no_path_is_held_back(opened, path):
    assert policy_of(opened, deny=["nothing"]).ruling("vault", path).kind is Kind.HELD_BACK
    assert policy_of(opened, allow=["*"]).ruling("vault", path).kind is Kind.HELD_BACK


# What allow does not name


@pytest.mark.parametrize(
    ("rule", "source", "path", "comes"),
    [
        ("api/*", "values", "api/url", True),
        ("api/", "values", "api/url", True),
        ("values:", "values", "api/url", True),
        ("api", "values", "api/url", False),
        ("/prod/api/*", "values", "api/url", False),
        ("**/shared", "values", "shared", False),
        ("vault:*", "values", "api/url", False),
        ("vault:db", "vault", "db#user", True),
        ("vault:db", "vault", "db?version=1#user", True),
        ("vault:db", "vault", "/kv/prod/db#user", True),
        ("vault:db", "vault", "/kv/dev/db#user", False),
        ("vault:db#user", "vault", "db#user", True),
        ("vault:db#user", "vault", "db#password", False),
        ("vault:db#user", "vault", "db", False),
        ("/kv/prod/*", "vault", "db#user", False),
        ("vault:north#pw", "vault", "north%23pw#user", False),
        ("vault:north%23pw", "vault", "north%23pw#user", True),
        ("vault:a b", "vault", "a b#user", True),
        ("db/", "vault", "db#user", True),
        ("vault:db/*", "vault", "/kv/prod/db#user", True),
        ("vault:db/user", "vault", "db#user", True),
        ("vault:db/user", "vault", "db#password", False),
    ],
)
def test_with_allow_only_what_it_names_for_certain_comes_down(opened, rule, source, path, comes):
    assert (policy_of(opened, allow=[rule]).ruling(source, path).kind is Kind.ALLOWED) is comes


def test_an_empty_allow_lets_nothing_down_but_substitutes(opened):
    policy = policy_of(opened, allow=[], substitute={"db/host": LOCAL, "vault:db#password": LOCAL})

    assert (policy.closes("values"), policy.closes("vault")) == ("local.prod.allow", "local.prod.allow")
    assert shown(view_of(opened, policy, "values"), "db/host") == LOCAL
    assert shown(view_of(opened, policy, "vault"), "db#password") == LOCAL
    with pytest.raises(HeldBack):
        view_of(opened, policy, "values").find("api/url")


# A substitute stands in, whatever the store says


@pytest.mark.parametrize(
    "path", ["db#password", "/kv/prod/db#password", "db?version=1#password", "/kv/common/db#password"]
)
@pytest.mark.parametrize("deny", [[], ["vault:db"], ["*"], ["vault:db#password"]])
@pytest.mark.parametrize("state", ["there", "denied", "lacking", "down"])
def test_a_substitute_stands_in_for_a_field(opened, stocked, path, deny, state):
    break_off(stocked, state)
    view = view_of(opened, policy_of(opened, deny=deny, substitute={"vault:db#password": LOCAL}), "vault")

    assert shown(view, path) == LOCAL
    assert view.find(path).entry.value == LOCAL.encode()


@pytest.mark.parametrize("path", ["db", "/kv/prod/db", "db?version=1"])
@pytest.mark.parametrize("deny", [[], ["vault:db"], ["*"], ["vault:db#user"]])
@pytest.mark.parametrize("state", ["there", "denied", "lacking"])
def test_a_substitute_stands_in_within_a_whole_secret(opened, stocked, path, deny, state):
    break_off(stocked, state)
    policy = policy_of(opened, deny=deny, substitute={"db#password": LOCAL})

    found, fields = view_of(opened, policy, "vault").look_up(path)

    assert fields["password"] == LOCAL
    assert REAL + "prod-db-password" not in found.entry.value.decode()
    template = f"{{{{ vault('{path}').password }}}}"
    assert rendered(opened, policy, template) == LOCAL
    if deny or state == "denied":
        with pytest.raises((HeldBack, Denied)):
            rendered(opened, policy, template.replace("password", "user"))


def break_off(stocked, state):
    """Bring prod's secret `db` into a state, in each of its layers."""
    for place in ("prod", "common"):
        if state == "denied":
            stocked.store.deny(f"kv/{place}/db")
        if state == "lacking":
            stocked.store.remove(f"kv/{place}/db")
    if state == "down":
        stocked.store.fail_with(RuntimeError("asked for all the same"))


@pytest.mark.parametrize(
    "text", ["db/host", "values:db/host", "/db/host", "/prod/db/host", "values:/common/db/host"]
)
def test_a_substitute_is_written_as_the_environment_shows_the_key_or_with_its_prefix(opened, text):
    policy = policy_of(opened, deny=["*"], substitute={text: LOCAL})

    assert shown(view_of(opened, policy, "values"), "db/host") == LOCAL


def test_a_substitute_for_a_secret_elsewhere_in_the_store(opened):
    policy = policy_of(opened, deny=["vault:"], substitute={"vault:/elsewhere/smtp#password": LOCAL})

    assert shown(view_of(opened, policy, "vault"), "/elsewhere/smtp#password") == LOCAL
    assert rendered(opened, policy, "{{ vault('/elsewhere/smtp').password }}") == LOCAL
    assert policy.stand_ins() == [], "the environment shows no such key"


def test_a_substitute_that_names_no_source_is_for_keys_of_its_kind(opened):
    policy = policy_of(opened, substitute={"db/host": LOCAL, "db#password": "dev"})

    assert policy.ruling("values", "db/host").value == LOCAL
    assert policy.ruling("vault", "db#password").value == "dev"
    assert policy.ruling("vault", "db/host#password").kind is Kind.ALLOWED
    assert policy.ruling("values", "db#password").kind is Kind.ALLOWED


@pytest.mark.parametrize(
    ("value", "text"), [(5433, "5433"), (True, "true"), (0.5, "0.5"), ("", ""), ("ünï", "ünï")]
)
def test_a_substitute_is_text_as_a_data_map_has_it(opened, value, text):
    policy = policy_of(opened, substitute={"db/host": value})

    assert policy.ruling("values", "db/host").value == text
    assert shown(view_of(opened, policy, "values"), "db/host") == text


def test_substitutes_are_listed_though_the_store_lacks_them(opened):
    view = view_of(opened, policy_of(opened, substitute={"values:new/key": LOCAL}), "values")

    assert "new/key" in view.paths()
    assert view.children("new") == ["new/key"]
    assert view.directories("") == ["api", "db", "new"]


def test_what_metadata_tells_of_a_secret_is_not_mixed_with_its_fields(opened):
    policy = policy_of(opened, substitute={"vault:db#password": LOCAL})

    assert "password" not in view_of(opened, policy, "vault").look_up("db?metadata=")[1]


def test_of_a_secret_read_as_a_whole_what_may_come_down_is_there(opened):
    found, fields = view_of(
        opened, policy_of(opened, deny=["*#password"], substitute={"vault:db#new": "x"}), "vault"
    ).look_up("db")

    real = {name: f"{REAL}prod-db-{name}" for name in ("user", "card#no")}
    assert json.loads(found.entry.value) == {**real, "new": "x"}
    assert {name: fields[name] for name in real} == real
    assert set(fields) == {"password", "user", "card#no", "new"}


@pytest.mark.parametrize("source", ["vault", "values"])
def test_a_guarded_view_keeps_nothing_of_what_it_guards(opened, source):
    view = view_of(opened, policy_of(opened, deny=["*"]), source)

    assert view.snapshot.trees == {}
    assert View.find(view, "db/host") is None


# Nothing is asked for in vain


@pytest.mark.parametrize(
    "rules", [{"deny": ["vault:db"]}, {"deny": ["*"]}, {"allow": ["api/*"]}, {"deny": ["vault:db#*"]}]
)
def test_what_is_closed_is_not_asked_for(opened, stocked, rules):
    view = view_of(opened, policy_of(opened, **rules), "vault")
    before = list(stocked.store.calls)
    for path in ("db", "db#password", "/kv/prod/db?version=1"):
        with pytest.raises(HeldBack):
            view.look_up(path)

    assert stocked.store.calls == before


@pytest.mark.parametrize("listing", ["under", "below", "children", "directories"])
@pytest.mark.parametrize("source", ["vault", "values"])
def test_of_a_closed_source_not_even_names_come_down(opened, stocked, source, listing):
    view = view_of(opened, policy_of(opened, deny=[f"{source}:"]), source)
    before = list(stocked.store.calls)
    with pytest.raises(HeldBack):
        getattr(view, listing)("")
    with pytest.raises(HeldBack):
        view.paths()

    assert stocked.store.calls == before


@pytest.mark.parametrize("rules", [{"deny": ["tls/*"]}, {"allow": ["db/*"]}])
@pytest.mark.parametrize("path", ["tls/key", "/tls/key/"])
def test_a_key_that_is_not_there_is_missing_and_not_held_back(opened, rules, path):
    policy = policy_of(opened, **rules)

    assert view_of(opened, policy, "values").find(path) is None
    template = f"{{{{ values('{path}', default='none') }}}}{{{{ '{path}' in values }}}}"
    assert rendered(opened, policy, template) == "noneFalse"


@pytest.mark.parametrize(
    "rules", [{"deny": ["values:"]}, {"allow": []}, {"deny": ["tls/*"]}, {"allow": ["vault:*"]}]
)
def test_of_a_source_that_was_not_read_nobody_can_tell_what_is_missing(stocked, rules):
    with stocked.core() as core, pytest.raises(HeldBack):
        view_of(core, policy_of(core, **rules), "values").find("tls/key")


@pytest.mark.parametrize("rules", [{"deny": ["values:"]}, {"allow": []}])
def test_nor_of_one_of_which_nothing_comes_down(opened, rules):
    with pytest.raises(HeldBack):
        view_of(opened, policy_of(opened, **rules), "values").find("tls/key")


# Renders


@pytest.mark.parametrize(
    "template",
    [
        "{{ values('db/host') }}",
        "{{ values('/db/host/') }}",
        "{{ values('db/host', default='x') }}",
        "{{ values.get('db/host') }}",
        "{{ values.bytes('db/host')|b64encode }}",
        "{{ values.json('db/host') }}",
        "{{ values.items() }}",
        "{{ values.items('db')|map('last')|join }}",
        "{{ values.children('db') }}",
        "{{ 'db/host' in values }}",
        "{{ vault('db').password }}",
        "{{ vault('db')['password'] }}",
        "{{ vault('db#password') }}",
        "{{ vault('db#password', default='x') }}",
        "{{ vault('db', version=1).password }}",
        "{{ vault('/kv/prod/db').password|upper }}",
        "{% for k, v in vault('db').items() %}{{ v }}{% endfor %}",
        "{{ vault('db').values()|join }}",
        "{{ vault('db')|to_json }}",
        "{{ vault('db')|to_yaml }}",
        "{{ vault('db')|tojson }}",
        "{{ (vault('db')|dictsort)[1][1] }}",
        "{{ vault('db').get('password') }}",
        "{{ vault('db').password|b64encode }}",
        "{{ vault('db').password|length }}",
        "{{ vault('db').password == 'x' }}",
        "{{ vault('db').password ~ '' }}",
        "{% if vault('db').password %}x{% endif %}",
        "{{ [vault('db').password]|join }}",
        "{{ '%s' % vault('db').password }}",
        "{{ vault('db').password[0] }}",
        "{{ values(vault('db').password) }}",
        "{{ vault.decrypt('transit/app', values('cipher')) }}",
        "{{ vault.list('')|map('string')|join }}{{ vault('db').password }}",
    ],
)  # fmt: skip
def test_no_template_gets_at_what_is_held_back(opened, template):
    policy = policy_of(opened, deny=["db/*", "vault:*#password", "vault:/transit/*"])

    with pytest.raises(HeldBack) as raised:
        rendered(opened, policy, template)

    assert raised.value.rule.startswith("local.prod.deny")
    assert REAL not in str(raised.value) + repr(raised.value)


USES = [
    "default('none')", "default('none', true)", "string", "length", "b64encode", "list", "to_json", "upper", "pprint",
    "tojson", "first", "int", "float", "abs", "e", "trim", "urlencode", "sha256", "to_yaml", "join",
    "map('upper')|list",
]  # fmt: skip


@pytest.mark.parametrize(
    "use", [f"|{use}" for use in USES] + [" is defined", " is none", " is undefined", " in 'x'"]
)
@pytest.mark.parametrize("field", ["vault('db').password", "vault('db').get('password', 'x')"])
def test_nothing_stands_in_for_a_field_that_is_held_back(opened, field, use):
    with pytest.raises(HeldBack) as raised:
        rendered(opened, policy_of(opened, deny=["vault:db#password"]), f"{{{{ {field}{use} }}}}")

    assert (raised.value.key, raised.value.rule) == (
        "vault:db#password",
        'local.prod.deny "vault:db#password"',
    )


@pytest.mark.parametrize(
    "template",
    [
        "{{ vault('db').items() }}",
        "{{ vault('db').items()|list }}",
        "{{ vault('db').values()|list }}",
        "{{ vault('db').keys()|list }}",
        "{{ vault('db')|list }}",
        "{{ vault('db')|dictsort }}",
        "{{ vault('db')|items|list }}",
        "{{ vault('db')|pprint }}",
        "{{ [vault('db')]|pprint }}",
        "{{ [vault('db')] }}",
        "{{ {'a': vault('db')}|to_toml }}",
        "{{ dict(vault('db')) }}",
        "{{ dict(**vault('db')) }}",
        "{{ vault('db')|xmlattr }}",
        "{{ [vault('db')]|groupby('password') }}",
        "{{ [vault('db')]|map(attribute='password')|list }}",
        "{{ [vault('db')]|map(attribute='password', default='x')|list }}",
        "{{ [vault('db')]|selectattr('password', 'defined')|list|length }}",
        "{{ [vault('db')]|sum(attribute='password') }}",
        "{{ vault('db') == {} }}",
        "{{ vault('db') != {'a': 1} }}",
        "{{ 'password' in vault('db') }}",
        "{% for name in vault('db') %}{{ name }}{% endfor %}",
        "{% set a, b, c = vault('db') %}",
        "{{ vault('db')['password']|default('none') }}",
        "{{ '%(password)s' % vault('db') }}",
        "{{ '{password}'.format(**vault('db')) }}",
        "{{ '{0[password]}'.format(vault('db')) }}",
        "{{ vault('db')|reverse|list }}",
    ],
)  # fmt: skip
def test_a_secret_is_used_as_a_whole_only_if_all_of_it_may_be(opened, template):
    policy = policy_of(opened, deny=["vault:db#password", "vault:db#card*"])

    with pytest.raises(HeldBack) as raised:
        rendered(opened, policy, template)

    assert raised.value.rule.startswith("local.prod.deny")
    if "password" not in template:
        assert "name the field you want: vault('db#user')" in str(raised.value.hint)


def test_of_a_closed_secret_with_a_substitute_nothing_else_is_there(opened):
    policy = policy_of(opened, deny=["vault:db"], substitute={"vault:db#password": LOCAL})

    assert rendered(opened, policy, "{% if vault('db') %}{{ vault('db').password }}{% endif %}") == LOCAL
    for use in (
        ".user|default('x')",
        ".get('user')",
        "|length",
        "|list",
        ".items()|list",
        " == {'password': 'x'}",
    ):
        with pytest.raises(HeldBack):
            rendered(opened, policy, f"{{{{ vault('db'){use} }}}}")
    with pytest.raises(HeldBack):
        rendered(opened, policy, "{{ 'user' in vault('db') }}")


def test_what_no_template_is_given_refuses_all_the_same():
    refused = RefusedField(HeldBack("held back"))

    for use in (
        repr,
        str,
        bool,
        len,
        list,
        hash,
        int,
        float,
        "{}".format,
        lambda one: one == 1,
        lambda one: one.x,
    ):
        with pytest.raises(HeldBack):
            use(refused)


def test_of_a_secret_read_as_a_whole_the_rest_comes_down(opened):
    policy = policy_of(opened, deny=["vault:db#password"])

    assert rendered(opened, policy, "{{ vault('db').user }}") == f"{REAL}prod-db-user"
    assert rendered(opened, policy, "{{ vault('db')|length }}") == "3"


def test_what_a_key_decrypts_comes_down_if_the_key_may(opened, stocked):
    cipher = stocked.store.encrypt("transit/app", b"plain")
    template = f"{{{{ vault.decrypt('transit/app', '{cipher}') }}}}"

    assert rendered(opened, policy_of(opened, deny=["vault:db"]), template) == "plain"
    assert rendered(opened, policy_of(opened, allow=["vault:/transit/app"]), template) == "plain"
    with pytest.raises(HeldBack):
        rendered(opened, policy_of(opened, allow=["vault:*"]), template)


def test_a_secret_that_is_none_any_more_is_no_secret_to_a_render(opened):
    policy = policy_of(opened, substitute={"vault:db#password": LOCAL})
    sources = policy.sources(opened)

    assert not sources["vault"].is_sensitive("db#password")
    assert sources["vault"].is_sensitive("db#user")


# Rules that name nothing there can be


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        (
            {"substitute": {"vault:db": "x"}},
            "'db' is a whole secret of vault, and a substitute is for one field",
        ),
        ({"substitute": {"vault:db#": "x"}}, "after # the name of a field is missing"),
        ({"substitute": {"vault:../db#x": "x"}}, "is no path of a secret"),
        ({"substitute": {"vault:db?version=1#password": "x"}}, "holds for each version"),
        ({"deny": ["vault:db#"]}, "after # the name of a field is missing"),
        ({"deny": ["db#"]}, "after # the name of a field is missing"),
        ({"deny": ["vault:db?version=1#password"]}, "holds for each version"),
        ({"allow": ["vault:db?version=1"]}, "holds for each version"),
    ],
)
def test_a_rule_that_names_nothing_is_an_error(opened, rules, says):
    with pytest.raises(ConfigError) as raised:
        policy_of(opened, **rules)

    assert says in str(raised.value)
    assert "confsync.yaml:" in str(raised.value)


@pytest.mark.parametrize("name", ["VAULT_TOKEN", "SHOP_TOKEN"])
def test_no_template_is_given_the_variables_that_hold_credentials(laptop, monkeypatch, name):
    login = {"method": "token", "env": "SHOP_TOKEN"}
    laptop.document["sources"]["real"] = {"backend": "vault", "address": "http://127.0.0.1:9", "auth": login}
    laptop.configure()
    monkeypatch.setenv(name, REAL)
    monkeypatch.setenv("USUAL", "mine")
    template = f"{{{{ env('{name}', default='none') }}}} {{{{ env('USUAL') }}}}"

    def text(template, *, personal):
        with laptop.core("prod", looking=False, personal=personal) as core:
            return rendered(core, policy_of(core), template)

    assert text(template, personal=True) == "none mine"
    with pytest.raises(RenderError, match=f"the variable '{name}' holds a credential of yours"):
        text(f"{{{{ env('{name}') }}}}", personal=True)
    assert text(template, personal=False) == f"{REAL} mine"


@pytest.mark.parametrize("name", ["VAULT_TOKEN", "SHOP_TOKEN"])
def test_no_source_gives_a_person_the_variables_that_hold_their_credentials(laptop, monkeypatch, name):
    login = {"method": "token", "env": "SHOP_TOKEN"}
    laptop.document["sources"]["real"] = {"backend": "vault", "address": "http://127.0.0.1:9", "auth": login}
    laptop.document["sources"]["mine"] = {"backend": "env", "separator": "__"}
    laptop.configure()
    monkeypatch.setenv(name, REAL)
    monkeypatch.setenv("USUAL", "mine")
    template = f"{{{{ mine('{name.lower()}', default='none') }}}} {{{{ mine('usual') }}}}"

    def text(*, personal):
        with laptop.core("prod", looking=False, personal=personal) as core:
            core.hub.sources["mine"].refresh()
            assert (name.lower() in core.hub.view("mine", "prod").paths()) is not personal
            return rendered(core, policy_of(core), template)

    assert text(personal=True) == "none mine"
    assert text(personal=False) == f"{REAL} mine"
