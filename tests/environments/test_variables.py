"""What an environment comes down to: every key as a variable, but for what is held back; all that is wrong at once."""

from __future__ import annotations

import shlex
from shlex import quote

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_ins.laptop import REAL, policy_of

from confsync.environments.variables import Variable, collect
from confsync.environments.variables.selection import Selection
from confsync.errors import ConfsyncError, Denied, Unavailable

PASSWORD = "correct horse"
LOCAL = "localhost"


def problems(laptop, *prefixes, **selection):
    """The lines of the error that collecting prod ends with."""
    with pytest.raises(ConfsyncError) as raised:
        laptop.collect("prod", *prefixes, **selection)
    return str(raised.value).splitlines()


def withheld(these):
    return {one.key: one.why for one in these}


# Every key


def test_every_key_of_every_source_comes_down_sorted_by_name(laptop):
    laptop.put("db", password=PASSWORD, port=5432, tls=True, hosts=["a", "b"], nothing=None, empty="")
    laptop.put("team/a b", key="schlüssel\n")

    collected = laptop.collect()

    assert [(one.name, one.value, one.key, one.sensitive) for one in collected.variables] == [
        ("API_URL", "http://api", "values:api/url", False),
        ("DB_EMPTY", "", "vault:db#empty", True),
        ("DB_HOST", "db.prod", "values:db/host", False),
        ("DB_HOSTS", '["a","b"]', "vault:db#hosts", True),
        ("DB_NOTHING", "", "vault:db#nothing", True),
        ("DB_PASSWORD", PASSWORD, "vault:db#password", True),
        ("DB_PORT", "5432", "vault:db#port", True),
        ("DB_TLS", "true", "vault:db#tls", True),
        ("TEAM_A_B_KEY", "schlüssel\n", "vault:team/a b#key", True),
    ]
    assert (collected.held_back, collected.denied, collected.unfetched) == ((), (), ())
    assert PASSWORD not in repr(collected)


def test_the_first_layer_wins(laptop):
    laptop.document["environments"]["prod"] = {"values": ["prod", "dev"], "vault": ["kv/prod", "kv/dev"]}
    laptop.configure()
    laptop.put("db", "dev", password="of dev", more="of dev")
    laptop.put("db", "prod", password=PASSWORD)
    laptop.put("only", "dev", key="of dev")

    assert laptop.variables() == {
        "API_URL": "http://api", "DB_HOST": "db.prod", "DB_PASSWORD": PASSWORD, "ONLY_KEY": "of dev",
    }  # fmt: skip


def test_each_secret_is_asked_for_once(laptop):
    for number in range(5):
        laptop.put(f"team/{number}", name="x", other="y")

    laptop.collect()

    assert [call.path for call in laptop.store.calls if call.kind == "names"] == ["kv/prod", "kv/prod/team"]
    assert laptop.store.count("fetch") == 5


def test_what_is_made_by_asking_for_it_is_listed_and_not_made(laptop):
    laptop.put("database/creds/app", static="never seen")
    laptop.store.lends("kv/prod/database/creds/app", duration=60)

    collected = laptop.collect()

    assert withheld(collected.unfetched) == {
        "vault:database/creds/app": "it is made anew for each who fetches it"
    }
    assert laptop.store.lent == []


def test_a_deleted_secret_is_none(laptop):
    laptop.put("db", password=PASSWORD)
    laptop.store.delete("kv/prod/db")

    assert laptop.variables() == {"API_URL": "http://api", "DB_HOST": "db.prod"}


# What is held back


def test_what_is_held_back_is_listed_with_its_rule_and_the_place_of_that(laptop):
    laptop.put("db", password=PASSWORD, user="app")
    laptop.configure(local={"prod": {"deny": ["values:db/*", "vault:*#password"]}})

    collected = laptop.collect()

    assert [one.name for one in collected.variables] == ["API_URL", "DB_USER"]
    assert withheld(collected.held_back) == {
        "values:db/host": 'local.prod.deny "values:db/*"',
        "vault:db#password": 'local.prod.deny "vault:*#password"',
    }
    lines = (laptop.directory / "confsync.yaml").read_text().splitlines()
    for one in collected.held_back:
        file, line, column = one.place.rsplit(":", 2)
        assert file == str(laptop.directory / "confsync.yaml")
        assert lines[int(line) - 1][int(column) - 1 :].strip("'") == one.why.split('"')[1]


def test_with_allow_only_that_comes_down(laptop):
    laptop.put("db", password=PASSWORD, user="app")
    laptop.configure(local={"prod": {"allow": ["api/*", "db#user"]}})

    collected = laptop.collect()

    assert [one.name for one in collected.variables] == ["API_URL", "DB_USER"]
    assert withheld(collected.held_back) == dict.fromkeys(
        ("values:db/host", "vault:db#password"), "local.prod.allow"
    )


@pytest.mark.parametrize(
    ("rules", "listed"),
    [
        ({"deny": ["vault:payment"]}, "vault:payment"),
        ({"deny": ["vault:payment#*"]}, "vault:payment"),
        ({"deny": ["vault:"]}, "vault:*"),
        ({"allow": ["values:*"]}, "vault:*"),
        ({"allow": ["values:*", "vault:db"]}, "vault:payment"),
    ],
)
def test_a_closed_secret_is_not_asked_for(laptop, rules, listed):
    laptop.put("payment", card=PASSWORD)
    laptop.store.deny("kv/prod/payment")
    laptop.configure(local={"prod": rules})

    collected = laptop.collect()

    assert listed in withheld(collected.held_back)
    assert collected.denied == ()
    assert laptop.store.count("fetch", "kv/prod/payment") == 0
    assert listed != "vault:*" or laptop.store.calls == []


def test_a_closed_source_need_not_be_there(laptop):
    laptop.store.fail_with(Unavailable("down"))
    laptop.document["sources"]["more"] = {"backend": "file", "path": "missing.yaml"}
    laptop.configure(local={"prod": {"deny": ["vault:", "more:*"]}})

    collected = laptop.collect()

    assert [one.name for one in collected.variables] == ["API_URL", "DB_HOST"]
    assert set(withheld(collected.held_back)) == {"vault:*", "more:*"}


# Substitutes


@pytest.mark.parametrize("state", ["there", "denied", "lacking", "listing denied", "closed", "all closed"])
def test_a_substitute_stands_in_whatever_the_store_says(laptop, state):
    laptop.put("db", password=PASSWORD)
    laptop.put("other", name="x")
    deny = {"closed": ["vault:db", "db/*"], "all closed": ["*"]}.get(state, [])
    if state == "denied":
        laptop.store.deny("kv/prod/db")
    if state == "lacking":
        laptop.store.remove("kv/prod/db")
        laptop.values(prod={"api/url": "http://api"}, dev={})
    if state == "listing denied":
        laptop.store.deny("kv/prod")
    laptop.configure(
        local={"prod": {"deny": deny, "substitute": {"db/host": LOCAL, "vault:db#password": "dev"}}},
        keys={"vault:other": {"about": "so that it is found"}},
    )

    collected = laptop.collect()

    found = {one.name: one for one in collected.variables}
    assert found["DB_HOST"] == Variable(
        "DB_HOST", LOCAL, "values:db/host", sensitive=False, rule='local.prod.substitute "db/host"'
    )
    assert found["DB_PASSWORD"].value == "dev"
    assert not found["DB_PASSWORD"].sensitive
    assert PASSWORD not in str(collected)


@pytest.mark.parametrize("text", ["vault:/kv/prod/db#password", "vault:db#password", "/kv/prod/db#password"])
def test_a_substitute_written_from_the_root_is_no_variable_of_its_own(laptop, text):
    laptop.put("db", password=PASSWORD)
    laptop.configure(local={"prod": {"substitute": {text: "dev"}}})

    assert laptop.variables("prod", "vault:") == {"DB_PASSWORD": "dev"}


def test_a_substitute_for_any_source_stands_in_for_the_key_that_exists_else_for_the_first(laptop):
    laptop.document["sources"]["more"] = {"backend": "file", "path": "more.yaml"}
    laptop.document["environments"]["prod"]["more"] = "prod"
    laptop.values("more.yaml", prod={"only/here": "x"})
    laptop.configure(local={"prod": {"substitute": {"only/here": LOCAL, "nowhere": LOCAL}}})

    found = {one.name: one.key for one in laptop.collect().variables}

    assert (found["NOWHERE"], found["ONLY_HERE"]) == ("values:nowhere", "more:only/here")
    assert laptop.variables("prod", "more:") == {"ONLY_HERE": LOCAL}, "not for a key nobody asked for"


def test_a_substitute_takes_the_place_of_what_no_variable_can_hold(laptop):
    laptop.values(prod={"nul": "a\0b", "port": "none"}, dev={})
    laptop.configure(
        local={"prod": {"substitute": {"nul": "fine", "port": 5432}}}, keys={"port": {"type": "port"}}
    )

    assert laptop.variables() == {"NUL": "fine", "PORT": "5432"}


def test_a_substitute_has_to_be_of_its_type_too(laptop):
    laptop.configure(local={"prod": {"substitute": {"db/port": "many"}}}, keys={"db/port": {"type": "port"}})

    assert problems(laptop) == [
        "the value of values:db/port is no port; write a whole number from 1 to 65535"
    ]


# What the store denies


def test_what_the_store_denies_is_listed_and_the_rest_comes_down(laptop):
    for name in ("a", "b", "c", "d"):
        laptop.put(name, key=name)
    laptop.store.deny("kv/prod/b")
    laptop.store.deny("kv/prod/d")

    collected = laptop.collect("prod", "vault:")

    assert {one.name: one.value for one in collected.variables} == {"A_KEY": "a", "C_KEY": "c"}
    assert set(withheld(collected.denied)) == {"vault:b", "vault:d"}
    assert "permission denied on kv/prod/b" in withheld(collected.denied)["vault:b"]


def test_where_nothing_is_listed_documented_keys_are_found(laptop):
    laptop.put("db", password=PASSWORD, user="app")
    laptop.put("team/x", key="y")
    laptop.store.deny("kv/prod")
    laptop.configure(
        keys={
            "vault:db#password": {"about": "x"},
            "vault:/kv/prod/team/x": {"owner": "me"},
            "db/host": {"type": "host"},
        }
    )

    collected = laptop.collect("prod", "vault:")

    assert {one.name for one in collected.variables} == {"DB_PASSWORD", "DB_USER", "TEAM_X_KEY"}
    assert list(withheld(collected.denied)) == ["vault:kv/prod"]
    assert [call.path for call in laptop.store.calls if call.kind == "fetch"] == [
        "kv/prod/db",
        "kv/prod/team/x",
    ]


def test_a_documented_secret_elsewhere_in_the_store_is_none_of_the_environment(laptop):
    laptop.store.put("elsewhere/smtp", {"password": PASSWORD})
    laptop.configure(keys={"vault:/elsewhere/smtp#password": {"about": "x", "required": True}})

    assert laptop.variables() == {"API_URL": "http://api", "DB_HOST": "db.prod"}
    assert laptop.store.count("fetch") == 0


def test_a_secret_that_was_named_and_read_is_not_denied_though_nothing_below_it_is_listed(laptop):
    laptop.put("db", password=PASSWORD)
    laptop.store.fail_with(denied("kv/prod/db"), "kv/prod/db", "names")

    collected = laptop.collect("prod", "vault:db")

    assert [one.name for one in collected.variables] == ["DB_PASSWORD"]
    assert collected.denied == ()


def denied(path):
    return Denied(f"memory: permission denied on {path}", key=path, hint="vault login")


@pytest.mark.parametrize("documented", [False, True])
@pytest.mark.parametrize("closed", [False, True])
def test_whoever_gets_nothing_at_all_of_a_source_is_told_so(laptop, documented, closed):
    laptop.put("db", password=PASSWORD)
    laptop.store.fail_with(denied("kv/prod"))
    laptop.configure(
        keys={"vault:db": {"about": "x"}, "vault:payment": {"about": "x"}}
        if documented
        else {"x": {"about": "y"}},
        local={"prod": {"deny": ["vault:payment"] if closed else []}},
    )

    (line,) = problems(laptop)

    assert line == (
        "vault: nothing of it may be read: memory: permission denied on kv/prod (vault login; or name what you may "
        "read, without a list: confsync env prod SECRET, or the configuration's `keys:`; or read only the other "
        "sources: confsync env prod OTHER:)"
    )
    assert laptop.variables("prod", "values:") == {"API_URL": "http://api", "DB_HOST": "db.prod"}


def test_a_source_that_cannot_be_asked_ends_it(laptop):
    laptop.put("db", password=PASSWORD)
    laptop.store.fail_with(Unavailable("it is down"))

    assert problems(laptop) == ["it is down"]


# Names and values that no variable can have

WRONG = {
    "9lives": "9LIVES is no name for a variable: letters, digits and _ only, and no digit first",
    "größe": "GRÖSSE is no name for a variable: letters, digits and _ only, and no digit first",
    "a\nb": "A\\nB is no name",
    "a[0]*?": "A[0]*? is no name",
    "x:y=": "X_Y= is no name",
    'it\'s "so"': 'IT\'S_"SO" is no name',
    "path": "PATH is a variable that shells and programs act upon",
    "\u202e\U0001f600": "is no name",
}


@pytest.mark.parametrize("key", WRONG)
def test_what_is_suggested_for_a_key_that_is_no_name_works(laptop, key):
    laptop.values(prod={"fine": "yes", key: "x"}, dev={})
    (line,) = problems(laptop)
    assert WRONG[key] in line
    assert line.isprintable()
    _, _, rest = line.partition("; call it something: ")
    called, _, without = rest.partition(", or leave it out: --without ")

    laptop.configure(**yaml.safe_load(called))
    renamed = laptop.variables()
    laptop.configure()
    left = laptop.variables("prod", without=shlex.split(without))

    assert sorted(renamed.values()) == ["x", "yes"]
    assert left == {"FINE": "yes"}


def test_a_field_is_called_by_the_names_the_store_has(laptop):
    laptop.put("north#pw", key="x")
    laptop.put("9", **{"a?b": "y"})

    (line,) = problems(laptop, "vault:")
    assert line.startswith("vault:9#a?b: 9_A?B is no name for a variable")
    laptop.configure(keys={"vault:9#a?b": {"variable": "NINE"}})
    assert laptop.variables("prod", "vault:") == {"NINE": "y", "NORTH_PW_KEY": "x"}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("a\0b", "its value has a NUL, which no environment variable can hold"),
        (b"\xffa", "its value is not UTF-8 text (byte 0)"),
        ("\ud800", "its value is not UTF-8 text (byte 0)"),
    ],
)
def test_a_value_that_no_variable_can_hold_is_told_without_a_word_of_it(laptop, value, says):
    if isinstance(value, bytes):
        (laptop.directory / "values.yaml").write_text("prod: {odd/key: !!binary /2E=, fine: yes}")
        key = "values:odd/key"
    else:
        laptop.put("odd", key=value)
        key = "vault:odd#key"

    assert problems(laptop) == [f"{key}: {says}; leave it out: --without {quote(key)}"]
    assert laptop.variables("prod", without=[key])


def test_two_keys_with_one_name_are_told_with_what_to_do(laptop):
    laptop.put("api", url="x")
    laptop.values(prod={"api/url": "1", "api.url": "2"}, dev={})

    (line,) = problems(laptop)
    assert line == (
        "values:api.url and values:api/url and vault:api#url are both called API_URL; call one otherwise: "
        'keys: {"vault:api#url": {variable: …}}'
    )
    laptop.configure(keys={"vault:api#url": {"variable": "A"}, "values:api/url": {"variable": "B"}})
    assert laptop.variables() == {"A": "x", "API_URL": "2", "B": "1"}


def test_what_is_said_of_a_key_in_one_source_goes_before_what_is_said_of_it_in_any(laptop):
    laptop.document["sources"]["more"] = {"backend": "file", "path": "values.yaml"}
    laptop.document["environments"]["prod"]["more"] = "dev"
    laptop.configure(keys={"db/host": {"variable": "HOST"}})
    (line,) = problems(laptop)
    assert line.endswith('both called HOST; call one otherwise: keys: {"more:db/host": {variable: …}}')

    laptop.configure(keys={"db/host": {"variable": "HOST"}, "more:db/host": {"variable": "OTHER"}})

    assert laptop.variables() == {"API_URL": "http://api", "HOST": "db.prod", "OTHER": "db.dev"}


def test_a_key_may_be_called_what_no_rule_would_give_it(laptop):
    laptop.configure(keys={"api/url": {"variable": "PATH"}, "db/*": {"about": "x"}})

    assert laptop.variables() == {"PATH": "http://api", "DB_HOST": "db.prod"}


# Required keys, types


def test_all_that_is_wrong_is_told_at_once_and_once(laptop):
    laptop.values(prod={"port": "many", "nul": "\0", "9": "x", "a/b": "", "a.b": ""}, dev={})
    laptop.configure(
        keys={
            "port": {"type": "port"},
            "gone": {"required": True, "owner": "me", "about": "it"},
            "a/b": {"one_of": ["x"]},
        }
    )

    found = problems(laptop)

    for problem in (
        "values:9: 9 is no name", "values:nul: its value has a NUL", "the value of values:port is no port",
        "the value of values:a/b is ", "values:a.b and values:a/b are both called A_B",
    ):  # fmt: skip
        assert [one for one in found if one.startswith(problem)], problem
    assert len(found) == len(set(found)) == 6
    assert "many" not in "\n".join(found)
    assert "gone is required in prod: it does not exist (ask me: it)" in found


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"db/port": True}, "db/port is required in prod: it does not exist"),
        ({"values:db/port": ["prod"]}, "values:db/port is required in prod: it does not exist"),
        ({"vault:db#user": True}, "vault:db#user is required in prod: it does not exist"),
        ({"db#user": True}, "db#user is required in prod: it does not exist"),
        ({"vault:other": True}, "vault:other is required in prod: it does not exist"),
        (
            {"vault:secret#x": True},
            "vault:secret#x is required in prod: memory: permission denied on kv/prod/secret",
        ),
        (
            {"vault:secret": True},
            "vault:secret is required in prod: memory: permission denied on kv/prod/secret",
        ),
    ],
)
def test_a_required_key_that_is_missing_or_denied_is_an_error(laptop, keys, says):
    laptop.put("db", password=PASSWORD)
    laptop.put("secret", x=PASSWORD)
    laptop.store.deny("kv/prod/secret")
    laptop.configure(keys={key: {"required": where} for key, where in keys.items()})

    assert problems(laptop) == [says]


@pytest.mark.parametrize(
    "keys",
    [
        ["db/host"],
        ["values:db/host"],
        ["vault:db"],
        ["db#password"],
        ["vault:db#password"],
        ["vault:/kv/prod/db"],
    ],
)
def test_a_required_key_that_some_source_has_is_fine(laptop, keys):
    laptop.document["sources"]["more"] = {"backend": "file", "path": "values.yaml"}
    laptop.document["environments"]["prod"]["more"] = "dev"
    laptop.put("db", password=PASSWORD)
    laptop.configure(keys={key: {"required": True} for key in keys})

    assert laptop.variables("prod", "values:", "vault:")


@pytest.mark.parametrize(
    ("rules", "required"),
    [
        ({"deny": ["db/*"]}, "db/port"),
        ({"deny": ["vault:gone"]}, "vault:gone#x"),
        ({"deny": ["vault:gone#x"]}, "vault:gone"),
        ({"deny": ["vault:"]}, "gone#x"),
        ({"allow": ["api/*"]}, "db/port"),
        ({"substitute": {"db/port": "1"}}, "db/port"),
        ({"substitute": {"vault:gone#x": "1"}}, "vault:gone"),
    ],
)
def test_a_required_key_that_would_not_come_down_is_not_missed(laptop, rules, required):
    laptop.configure(local={"prod": rules}, keys={required: {"required": True}})

    laptop.collect()


def test_what_is_required_elsewhere_or_not_selected_is_not_missed(laptop):
    laptop.configure(keys={"a": {"required": ["dev"]}, "b": {"required": False}, "c/d": {"required": True}})

    assert laptop.variables("prod", "db") == {"DB_HOST": "db.prod"}
    assert laptop.variables("prod", without=["c/*"])
    assert problems(laptop) == ["c/d is required in prod: it does not exist"]
    assert problems(laptop, "c") == ["c/d is required in prod: it does not exist"]


def test_a_required_key_is_not_missed_where_one_of_the_sources_that_may_have_it_was_not_asked(laptop):
    laptop.document["sources"]["more"] = {"backend": "file", "path": "values.yaml"}
    laptop.document["environments"]["prod"]["more"] = "nothing"
    laptop.configure(keys={"c/d": {"required": True}})

    assert laptop.variables("prod", "values:")
    assert laptop.variables("prod", globs=["values:*"])
    assert laptop.variables("prod", "values:", "vault:") == laptop.variables("prod", "values:")
    missing = ["c/d is required in prod: it does not exist"]
    assert problems(laptop) == problems(laptop, "c") == problems(laptop, "values:", "more:") == missing


def test_a_source_that_no_glob_names_is_not_read(laptop):
    laptop.store.fail_with(Unavailable("it is down"))

    assert laptop.variables("prod", globs=["values:db/*"]) == {"DB_HOST": "db.prod"}


# Whatever the rules


@settings(max_examples=80)
@given(
    st.lists(
        st.sampled_from(["db/*", "vault:db", "*#password", "vault:", "/kv/prod/team/*", "a[0]", "shared"]),
        max_size=3,
    ),
    st.one_of(
        st.none(), st.lists(st.sampled_from(["*", "db/*", "vault:db#user", "vault:team/*"]), max_size=2)
    ),
    st.dictionaries(st.sampled_from(["db/host", "vault:db#password", "db#user"]), st.just(LOCAL), max_size=2),
    st.sampled_from(
        [(), ("db",), ("vault:",), ("vault:/kv/prod/db",), ("/prod/db",), ("vault:db#password",)]
    ),
)
def test_all_that_exists_comes_down_is_substituted_or_is_listed(opened, deny, allow, substitute, prefixes):
    rules = {"deny": deny, "substitute": substitute} | ({} if allow is None else {"allow": allow})
    policy = policy_of(opened, **rules)

    collected = collect(opened, "prod", policy, Selection(prefixes, without=["cipher", "a[[]0]"]))

    for one in collected.variables:
        source, _, path = one.key.partition(":")
        ruling = policy.ruling(source, path)
        assert (one.value == LOCAL) is bool(one.rule)
        assert (ruling.rule, ruling.value or one.value) == (one.rule, one.value)
        assert one.rule or one.value.startswith(REAL)
    assert REAL not in str((collected.held_back, collected.denied, collected.unfetched))
    free = collect(opened, "prod", policy_of(opened), Selection(prefixes, without=["cipher", "a[[]0]"]))
    down, held = {one.key for one in collected.variables}, {one.key for one in collected.held_back}
    for one in free.variables:
        source, _, path = one.key.partition(":")
        assert {one.key, f"{source}:{path.partition('#')[0]}", f"{source}:*"} & (down | held)
    assert down <= {one.key for one in free.variables} | {f"{s}:{p}" for s, p in (("values", "db/host"),)}


# Rules that name nothing


@pytest.mark.parametrize(
    ("rules", "idle"),
    [
        ({"deny": ["DB/*", "db/*"]}, ['local.prod.deny "DB/*"']),
        ({"deny": ["password", "passwords"]}, ['local.prod.deny "password"', 'local.prod.deny "passwords"']),
        ({"deny": ["vault:/secret/data/prod/shop/db"]}, ['local.prod.deny "vault:/secret/data/prod/shop/db"']),
        ({"deny": ["*password*", "vault:db#user", "api", "/prod/api", "team/db"]}, []),
        ({"allow": ["*", "/prod/api/*", "no/*"]}, ['local.prod.allow "/prod/api/*"', 'local.prod.allow "no/*"']),
        ({"deny": ["vault:db"], "allow": ["db#password", "db#*", "db/*"]}, []),
        ({"deny": ["vault:", "DB/*", "values:DB/*"]}, ['local.prod.deny "values:DB/*"']),
        ({"substitute": {"new/key": "x"}}, []),
    ],
)  # fmt: skip
def test_a_rule_that_names_nothing_is_told(stocked, rules, idle):
    stocked.values(prod={"db/host": "h", "api/url": "u"}, common={})
    stocked.configure(local={"prod": rules})

    told = stocked.collect("prod").idle

    assert [one.partition(" names no key (")[0] for one in told] == idle
    assert all("confsync.yaml:" in one for one in told)


def test_where_not_all_was_looked_at_no_rule_is_said_to_name_nothing(stocked):
    stocked.values(prod={"db/host": "h", "api/url": "u"}, common={})
    stocked.configure(local={"prod": {"deny": ["DB/*"]}})
    for selection in ({"globs": ["api/*"]}, {"without": ["api/*"]}):
        assert stocked.collect("prod", "values:", **selection).idle == ()
    assert stocked.collect("prod", "values:").idle == ()
    stocked.store.deny("kv/prod/db")

    assert stocked.collect("prod").idle == ()
