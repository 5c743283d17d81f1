"""The variables of syncs: of a data map by its names, of templates the keys they read."""

from __future__ import annotations

import pytest

from confsync.environments.policy import Policy
from confsync.environments.variables import collect
from confsync.environments.variables.selection import Selection
from confsync.errors import ConfsyncError, Denied, Unavailable

PASSWORD = "correct horse"
LOCAL = "localhost"


def template(text, **more):
    return {"template": {"inline": text}, "to": "/out", **more}


def data(entries, **more):
    return {"data": entries, "to": "/out.env", **more}


def of(laptop, sync, rules=None, *, fetching=False, keys=None, **selection):
    """What one sync comes down to in prod."""
    local = {} if rules is None else {"local": {"prod": rules}}
    laptop.configure(syncs={"app": sync}, keys=keys or {}, **local)
    return laptop.collect("prod", syncs=["app"], fetching=fetching, **selection)


def values_of(collected):
    return {one.name: one.value for one in collected.variables}


def withheld(these):
    return {one.key: one.why for one in these}


def problems(laptop, sync, rules=None, **more):
    with pytest.raises(ConfsyncError) as raised:
        of(laptop, sync, rules, **more)
    assert PASSWORD not in str(raised.value)
    return str(raised.value).splitlines()


@pytest.fixture
def shop(laptop):
    laptop.values(
        prod={
            "db/host": "db.prod",
            "db/port": "5432",
            "api/url": "http://api",
            "kind": "db",
            "json": '{"a": 1}',
        },
        dev={},
    )
    laptop.put("db", password=PASSWORD, user="app", hosts=["a", "b"])
    laptop.store.lends("database/creds/app", duration=60)
    return laptop


MAP = {
    "HOST": "values:db/host",
    "PASSWORD": "vault:db#password",
    "HOSTS": "vault:db#hosts",
    "URL": {"template": "{{ vault('db').user }}@{{ values('db/host') }}"},
    "MODE": {"value": "fast"},
    "RETRIES": 3,
    "TLS": True,
}


# Data maps


def test_a_data_map_comes_down_by_its_names(shop):
    collected = of(shop, data(MAP))

    assert values_of(collected) == {
        "HOST": "db.prod", "PASSWORD": PASSWORD, "HOSTS": '["a", "b"]', "URL": "app@db.prod", "MODE": "fast",
        "RETRIES": "3", "TLS": "true",
    }  # fmt: skip
    assert {one.name for one in collected.variables if one.sensitive} == {"PASSWORD", "HOSTS", "URL"}
    assert {one.key for one in collected.variables} == {f"app.{name}" for name in MAP}
    assert shop.store.count("fetch") == 1
    assert shop.store.count("names") == 0


def test_an_entry_that_is_held_back_leaves_the_others(shop):
    collected = of(shop, data(MAP), {"deny": ["values:db/*", "vault:db#password"]})

    assert set(values_of(collected)) == {"HOSTS", "MODE", "RETRIES", "TLS"}
    assert withheld(collected.held_back) == {
        "app.HOST (values:db/host)": 'local.prod.deny "values:db/*"',
        "app.PASSWORD (vault:db#password)": 'local.prod.deny "vault:db#password"',
        "app.URL (values:db/host)": 'local.prod.deny "values:db/*"',
    }
    assert all(one.place.startswith(str(shop.directory)) for one in collected.held_back)


@pytest.mark.parametrize(
    "reference", ["vault:db#password", "vault:/kv/prod/db#password", "vault:db?version=1#password"]
)
@pytest.mark.parametrize("state", ["there", "denied", "lacking", "closed"])
def test_a_substitute_stands_in_for_what_an_entry_refers_to(shop, reference, state):
    if state == "denied":
        shop.store.deny("kv/prod/db")
    if state == "lacking":
        shop.store.remove("kv/prod/db")
    entries = {"PASSWORD": reference, "URL": {"template": "{{ vault('db').password }}@x"}}
    rules = {"deny": ["vault:"] if state == "closed" else [], "substitute": {"vault:db#password": "dev"}}

    collected = of(shop, data(entries), rules)

    assert values_of(collected) == {"PASSWORD": "dev", "URL": "dev@x"}
    found = {one.name: (one.sensitive, one.rule) for one in collected.variables}
    assert found["PASSWORD"] == (False, 'local.prod.substitute "vault:db#password"')


def test_what_the_store_denies_leaves_the_others(shop):
    shop.store.deny("kv/prod/db")

    collected = of(shop, data(MAP))

    assert set(values_of(collected)) == {"HOST", "MODE", "RETRIES", "TLS"}
    assert set(withheld(collected.denied)) == {"app.PASSWORD", "app.HOSTS", "app.URL"}
    assert "permission denied on kv/prod/db" in withheld(collected.denied)["app.URL"]


def test_a_required_key_that_is_denied_is_an_error(shop):
    shop.store.deny("kv/prod/db")
    keys = {"vault:db#password": {"required": True}}

    (line,) = problems(shop, data(MAP), keys=keys)

    assert line.startswith("app.PASSWORD is required in prod: memory: permission denied")


@pytest.mark.parametrize("target", [{"kubernetes_secret": {"namespace": "shop", "name": "app"}}, "sensitive"])
def test_what_goes_where_secrets_are_kept_is_a_secret(shop, target):
    more = {"sensitive": True} if target == "sensitive" else {"to": [target, {"file": "/out.env"}]}

    collected = of(shop, data({"HOST": "values:db/host", "MODE": {"value": "x"}}, **more))
    read = of(shop, {"templates": {"a": {"inline": "{{ values('db/host') }}"}}, "to": {"directory": "/d"}} | (
        more if target == "sensitive" else {"to": [target]}
    ))  # fmt: skip

    assert all(one.sensitive for one in (*collected.variables, *read.variables))
    assert collected.variables
    assert read.variables


def test_what_is_made_by_asking_is_made_only_where_it_may_be(shop):
    entries = {
        "USER": "vault:/database/creds/app#username",
        "URL": {"template": "{{ vault('/database/creds/app').username|upper }}"},
        "LENGTH": {"template": "{{ vault('/database/creds/app').username[40] }}"},
        "HOST": "values:db/host",
    }
    looked = of(shop, data(entries))
    assert values_of(looked) == {"HOST": "db.prod"}
    assert set(withheld(looked.unfetched)) == {"app.USER", "app.URL", "app.LENGTH"}
    assert shop.store.lent == []

    del entries["LENGTH"]
    fetched = values_of(of(shop, data(entries), fetching=True))

    assert shop.store.lent == [fetched["USER"]]
    assert fetched["URL"] == fetched["USER"].upper()
    assert values_of(of(shop, data(entries), {"deny": ["vault:"]}, fetching=True)) == {"HOST": "db.prod"}
    assert len(shop.store.lent) == 1, "what is closed is not made"


def test_a_substitute_for_what_would_be_made_makes_nothing(shop):
    rules = {
        "substitute": {"vault:/database/creds/app#username": "me", "vault:/database/creds/app#password": "x"}
    }
    entries = {"USER": "vault:/database/creds/app#username", "PASSWORD": "vault:/database/creds/app#password"}

    assert values_of(of(shop, data(entries), rules)) == {"USER": "me", "PASSWORD": "x"}
    assert values_of(of(shop, data(entries), rules, fetching=True)) == {"USER": "me", "PASSWORD": "x"}
    assert shop.store.lent == []


def test_all_that_is_wrong_with_entries_is_told_at_once(shop):
    entries = {
        "a.b": "values:db/host",
        "9": "values:db/host",
        "GONE": "values:gone",
        "BROKEN": {"template": "{{ 1 / 0 }}"},
        "NUL": {"value": "a\0b"},
        "PORT": "values:db/host",
    }
    keys = {"db/host": {"type": "port"}}

    found = problems(shop, data(entries), keys=keys)

    assert found[:2] == [
        "sync app: 'a.b' is no name for a variable (call it a_b)",
        "sync app: '9' is no name for a variable (call it _9)",
    ]
    assert "no key 'gone' in source 'values'" in found[2]
    assert "syncs.app.data.BROKEN:1: ZeroDivisionError" in found[3]
    assert found[4].startswith(
        "app.NUL: its value has a NUL, which no environment variable can hold; encode it"
    )
    assert "the value of values:prod/db/host is no port" in found[5]
    assert len(found) == 6


def test_a_data_map_for_each_item_has_no_variables(shop):
    sync = data({"HOST": "values:db/host"}, for_each="['a', 'b']", to="/{{ each.key }}.env")

    assert problems(shop, sync) == [
        "sync app has a data map for each item: its variables would have one name"
    ]


def test_syncs_that_say_the_same_of_a_name_agree_and_others_do_not(shop):
    shop.configure(syncs={"a": data({"HOST": "values:db/host"}), "b": data({"HOST": "values:db/host"}, to="/b.env"),
                          "c": data({"HOST": "values:api/url"}, to="/c.env")})  # fmt: skip

    assert shop.variables("prod", syncs=["a", "b", "a"]) == {"HOST": "db.prod"}
    with pytest.raises(
        ConfsyncError, match=r"^a\.HOST and c\.HOST are both called HOST; take one sync at a time$"
    ):
        shop.collect("prod", syncs=["a", "c"])


def test_a_sync_is_read_in_the_environment_that_is_asked_for(shop):
    shop.values(prod={"db/host": "db.prod"}, dev={"db/host": "db.dev"})
    shop.configure(syncs={"app": data({"HOST": "values:db/host"}, environment="dev")})

    assert shop.variables("prod", syncs=["app"]) == {"HOST": "db.prod"}


def test_sources_that_a_sync_does_not_read_need_not_be_there(shop):
    shop.document["sources"]["more"] = {"backend": "file", "path": "missing.yaml"}
    shop.store.fail_with(Unavailable("it is down"))

    assert values_of(of(shop, data({"HOST": "values:db/host"}))) == {"HOST": "db.prod"}
    assert values_of(of(shop, template("{{ values('db/host') }}"))) == {"DB_HOST": "db.prod"}
    for sync in (data({"X": "more:x"}), template("{{ more('x') }}")):
        assert "missing.yaml" in problems(shop, sync)[0]
    for sync in (data({"X": "vault:db#user"}), template("{{ vault('db').user }}")):
        assert problems(shop, sync) == ["it is down"]


def test_a_closed_source_is_not_read(shop):
    shop.configure(
        syncs={"app": data({"HOST": "values:db/host", "MODE": {"value": "x"}})},
        local={"prod": {"deny": ["values:"]}},
    )
    with shop.core() as core:
        selection = Selection(syncs=["app"])
        collected = collect(core, "prod", Policy(core.loaded, core.hub, "prod"), selection)

        assert not core.hub.sources["values"].answered
    assert (values_of(collected), set(withheld(collected.held_back))) == (
        {"MODE": "x"}, {"app.HOST (values:db/host)"}
    )  # fmt: skip


def test_references_may_be_left_out(shop):
    assert set(values_of(of(shop, data(MAP), without=["vault:", "values:db/*"]))) == {
        "URL", "MODE", "RETRIES", "TLS",
    }  # fmt: skip
    read = template("{{ values('db/host') }}{{ vault('db').user }}")
    assert set(values_of(of(shop, read, without=["vault:*#password", "*hosts"]))) == {"DB_HOST", "DB_USER"}


# The keys that templates read


def test_the_keys_a_template_reads_come_down(shop):
    read = "{{ values('db/host') }}{{ vault('db').user }}"
    text = f"{{% if values('kind') == 'db' %}}{read}{{% else %}}{{{{ values('x') }}}}{{% endif %}}"

    collected = of(shop, template(text))

    assert values_of(collected) == {
        "KIND": "db", "DB_HOST": "db.prod", "DB_USER": "app", "DB_PASSWORD": PASSWORD, "DB_HOSTS": '["a","b"]',
    }  # fmt: skip
    assert {one.name for one in collected.variables if one.sensitive} == {
        "DB_USER",
        "DB_PASSWORD",
        "DB_HOSTS",
    }
    assert shop.store.count("fetch") == 1


def test_a_secret_in_two_spellings_is_one(shop):
    text = "{{ vault('db#user') }}{{ vault('/kv/prod/db').user }}{{ vault('/kv/prod/db#user') }}"

    assert set(values_of(of(shop, template(text)))) == {"DB_USER", "DB_PASSWORD", "DB_HOSTS"}


def test_templates_and_a_data_map_of_one_sync(shop):
    sync = {
        "templates": {"a": {"inline": "{{ values('api/url') }}"}},
        "data": {"HOST": "values:db/host"},
        "to": {"directory": "/d"},
    }

    assert values_of(of(shop, sync)) == {"API_URL": "http://api", "HOST": "db.prod"}


def test_templates_for_each_item(shop):
    sync = template(
        "{{ values(each.key) }}", for_each="['api/url', 'db/host']", to="/{{ each.key|replace('/', '-') }}"
    )

    assert set(values_of(of(shop, sync))) == {"API_URL", "DB_HOST"}


def test_one_key_that_is_held_back_or_denied_does_not_hide_the_others(shop):
    shop.put("payment", card=PASSWORD)
    shop.put("secret", x=PASSWORD)
    shop.store.deny("kv/prod/secret")
    text = (
        "{{ values('db/host') }}{{ vault('payment').card }}{{ vault('secret')|to_json }}{{ vault('secret#x') }}"
        "{{ vault('db')|to_json }}{{ values('api/url') }}{% for k, v in values.items('db') %}{{ v }}{% endfor %}"
        "{{ vault.list('secret') }}{{ vault('/database/creds/app').username }}"
    )

    collected = of(shop, template(text), {"deny": ["values:db/*", "vault:payment", "*#password"]})

    assert values_of(collected) == {"DB_USER": "app", "DB_HOSTS": '["a","b"]', "API_URL": "http://api"}
    assert withheld(collected.held_back) == {
        "values:db/host": 'local.prod.deny "values:db/*"',
        "values:db/port": 'local.prod.deny "values:db/*"',
        "vault:payment": 'local.prod.deny "vault:payment"',
        "vault:db#password": 'local.prod.deny "*#password"',
    }
    assert set(withheld(collected.denied)) == {"vault:secret", "vault:secret#x", "vault:secret/*"}
    assert set(withheld(collected.unfetched)) == {"vault:/database/creds/app"}
    assert shop.store.count("fetch", "kv/prod/payment") == 0
    assert shop.store.lent == []


@pytest.mark.parametrize("deny", [[], ["*"], ["vault:db"]])
@pytest.mark.parametrize("lacking", [False, True])
def test_a_substitute_stands_in_for_what_a_template_reads(shop, deny, lacking):
    if lacking:
        shop.store.remove("kv/prod/db")
        shop.values(prod={"api/url": "x"}, dev={})
    rules = {"deny": deny, "substitute": {"db/host": LOCAL, "vault:db#password": "dev"}}

    collected = of(shop, template("{{ values('db/host') }}{{ vault('db').password }}"), rules)

    found = values_of(collected)
    assert (found["DB_HOST"], found["DB_PASSWORD"]) == (LOCAL, "dev")
    assert PASSWORD not in str(collected)
    if deny:
        assert set(found) == {"DB_HOST", "DB_PASSWORD"}
        assert set(withheld(collected.held_back)) == {"vault:db#(other fields)"}


def test_what_cannot_be_told_without_a_value_that_is_held_back_is_said(shop):
    text = "{{ (values('json')|from_json).a }}{{ values('api/url') }}"

    (line,) = problems(shop, template(text), {"deny": ["json"]})

    assert line.startswith(
        "sync app: which keys its templates read cannot be told: app:1: from_json: not valid JSON"
    ) or ("which keys its templates read cannot be told" in line)
    assert (
        'a placeholder stood for what may not be read: values:json is held back by local.prod.deny "json"'
        in line
    )


def test_a_ciphertext_that_may_not_be_decrypted_is_listed(shop):
    cipher = shop.store.encrypt("transit/app", b"plain")
    text = f"{{{{ vault.decrypt('transit/app', '{cipher}') }}}}{{{{ values('api/url') }}}}"

    held = of(shop, template(text), {"deny": ["vault:/transit/*"]})
    assert (values_of(held), set(withheld(held.held_back))) == (
        {"API_URL": "http://api"},
        {"vault:/transit/app"},
    )

    shop.store.fail_with(Denied("no", key="transit/app"), "transit/app")
    refused = of(shop, template(text))
    assert (values_of(refused), set(withheld(refused.denied))) == (
        {"API_URL": "http://api"},
        {"vault:/transit/app"},
    )


def test_a_key_that_templates_miss_is_an_error(shop):
    assert "no key 'gone' in source 'values'" in problems(shop, template("{{ values('gone') }}"))[0]
    assert values_of(of(shop, template("{{ values('gone', default='') }}{{ values('kind') }}"))) == {
        "KIND": "db"
    }


@pytest.mark.parametrize("text", ["{{ vault('db').password }}", "{{ vault('db#password') }}"])
def test_a_required_key_that_a_template_reads_and_that_is_denied_is_an_error(shop, text):
    shop.store.deny("kv/prod/db")
    keys = {"vault:db#password": {"required": True}}

    (line,) = problems(shop, template(text), keys=keys)

    assert line.startswith("vault:db#password is required in prod: memory: permission denied")


def test_a_required_key_is_missed_though_the_template_has_a_default(shop):
    keys = {"gone": {"required": True}, "unread": {"required": True}, "vault:db#gone": {"required": True}}
    text = "{{ values('gone', default='') }}{{ vault('db#gone', default='') }}{{ values('kind') }}"

    assert problems(shop, template(text), keys=keys) == [
        "gone is required in prod: it does not exist", "vault:db#gone is required in prod: it does not exist",
    ]  # fmt: skip


def test_types_are_looked_at(shop):
    (line,) = problems(shop, template("{{ values('db/host') }}"), keys={"db/host": {"type": "port"}})

    assert line == "the value of values:db/host is no port; write a whole number from 1 to 65535"


def test_a_held_back_value_is_of_no_wrong_type(shop):
    collected = of(
        shop, template("{{ values('db/port') }}"), {"deny": ["db/port"]}, keys={"db/port": {"type": "port"}}
    )

    assert set(withheld(collected.held_back)) == {"values:db/port"}


def test_a_path_made_of_a_secret_is_not_told(shop):
    shop.put("x", key="y")
    shop.store.fail_with(Denied("no", key="x"), "kv/prod/x")
    text = "{{ vault('x', name=vault('db').password)|to_json }}"

    collected = of(shop, template(text))

    assert "vault:x" in withheld(collected.denied)
    assert PASSWORD not in str(collected.denied)
