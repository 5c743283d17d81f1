"""Secrets, lists and decryption in templates: what is given, what is asked of the store, what is recorded."""

from __future__ import annotations

import json
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from confsync.clock import SystemClock
from confsync.config.models import Limits, Sync
from confsync.driver import Address
from confsync.errors import Denied, LimitExceeded, MissingKeys, RenderError, SourceError, Unavailable
from confsync.reads import PathRead
from confsync.render.renderer import Renderer, RenderFailed
from confsync.render.source_view import SourceView
from confsync.source.addressed import AddressedSource
from confsync.testing.memory_secrets import ManualClock, MemorySecretsBackend, SecretStore

CREDS = "db/creds/app"
KEY = "transit/app"


class Vault:
    """A source of secrets called `vault`, beside keys called `etcd`, as one environment shows them."""

    def __init__(self, studio):
        self.studio = studio
        self.store = SecretStore()
        self.source = AddressedSource("vault", MemorySecretsBackend(self.store), clock=SystemClock())
        self.prefixes = ("prod",)
        self.keys = {}
        self.is_sensitive = lambda path: True

    def put(self, path, **fields):
        self.store.put(f"prod/{path}", fields)

    def views(self, *, looking=False):
        view = self.source.view(self.prefixes, looking=looking)
        etcd = self.studio.views(self.keys, name="etcd")
        return {"vault": SourceView("vault", view, self.is_sensitive), **etcd}

    def render(self, sync, *, looking=False, limits=None):
        return self.studio.render(sync, self.views(looking=looking), limits)

    def rendered(self, template, *, looking=False, limits=None):
        sync = {"template": {"inline": template}, "to": "out"}
        return self.render(sync, looking=looking, limits=limits)

    def text(self, template, **options):
        return self.rendered(template, **options).desired[0].content.decode()

    def reads(self, template):
        """The paths of `vault` that were found, missed and listed, also by a render that fails."""
        sync = Sync.model_validate({"template": {"inline": template}, "to": "out"})
        try:
            reads = self.studio.renderer.render("app", sync, Limits(), self.views(), {}).reads
        except RenderFailed as failed:
            reads = failed.reads
        kinds = (reads.keys, reads.missed, reads.listed)
        return tuple(sorted(read.path for read in kind if read.source == "vault") for kind in kinds)

    def encrypt(self, text):
        return self.store.encrypt(KEY, text.encode() if isinstance(text, str) else text)


@pytest.fixture
def vault(studio):
    vault = Vault(studio)
    yield vault
    vault.source.close()


# Secrets and fields


@pytest.mark.parametrize(
    "expression",
    [
        "vault('db').password",
        "vault('db')['password']",
        "vault('db').get('password')",
        "vault('db#password')",
        "vault('/prod/db').password",
        "vault('db/').password",
        "vault.get('db').password",
        "vault.get('db#password', 'x')",
        "vault('db?version=2#password')",
        "vault('db', version=2).password",
        "(vault('db')|items|list)[0][1]",
    ],
)
def test_all_ways_to_a_field(vault, expression):
    vault.put("db", password="old")
    vault.put("db", password="pa55")

    assert vault.text(f"{{{{ {expression} }}}}") == "pa55"


def test_an_older_version_can_be_asked_for(vault):
    for password in ("one", "two"):
        vault.put("db", password=password)

    assert vault.text("{{ vault('db', version=1).password }} {{ vault('db').password }}") == "one two"


def test_a_field_that_is_named_like_a_method_is_the_field(vault):
    vault.put("db", items="i", keys="k", values="v", get="g", attribute="a", fetched="f", pop="p")
    expressions = ("items", "keys", "values", "get", "attribute", "fetched", "pop")

    found = vault.text(" ".join(f"{{{{ vault('db').{one} }}}}" for one in expressions))
    assert found == "i k v g a f p"


def test_without_such_fields_they_are_the_methods_of_a_mapping(vault):
    vault.put("db", b="2", a="1")

    assert vault.text("{% for name, value in vault('db').items() %}{{ name }}={{ value }};{% endfor %}") in (
        "b=2;a=1;",
        "a=1;b=2;",
    )
    assert vault.text("{{ vault('db').keys()|sort|join }}{{ vault('db').values()|sort|join }}") == "ab12"
    assert vault.text("{{ vault('db').get('x', 'none') }}") == "none"
    assert vault.text("{% for name in vault('db')|sort %}{{ name }}{% endfor %}") == "ab"
    assert (
        vault.text("{{ vault('db')|length }} {{ 'a' in vault('db') }} {{ 'x' in vault('db') }}")
        == "2 True False"
    )


@pytest.mark.parametrize("name", ["__class__", "_lookup", "_wanted", "clear", "update", "setdefault"])
def test_a_secret_gives_no_access_to_anything_else(vault, name):
    vault.put("db", a="1")
    with pytest.raises(MissingKeys, match=f"no field '{name}'"):
        vault.text(f"{{{{ vault('db').{name} }}}}")


def test_values_keep_their_types(vault):
    vault.put("db", port=5432, on=True, ratio=1.5, none=None, hosts=["a", "b"], deep={"x": {"y": "z"}})

    assert vault.text("{{ vault('db').port + 1 }}") == "5433"
    assert vault.text("{{ 'yes' if vault('db').on is true else 'no' }}") == "yes"
    assert vault.text("{{ vault('db').ratio * 2 }} {{ vault('db').none is none }}") == "3.0 True"
    assert vault.text("{{ vault('db').hosts|join(',') }} {{ vault('db').deep.x.y }}") == "a,b z"


@pytest.mark.parametrize(("form", "read"), [("to_json", json.loads), ("to_yaml", yaml.safe_load)])
def test_a_whole_secret_can_be_written_out(vault, form, read):
    fields = {"port": 5432, "on": True, "none": None, "hosts": ["a"], "text": "x: y"}
    vault.put("db", **fields)

    assert read(vault.text(f"{{{{ vault('db')|{form} }}}}")) == fields


def test_the_first_layer_that_has_it_wins(vault):
    vault.prefixes = ("prod", "common")
    vault.put("db", user="p")
    vault.store.put("common/db", {"user": "c"})
    vault.store.put("common/web", {"user": "w"})

    assert vault.text("{{ vault('db').user }}{{ vault('web').user }}{{ vault('/common/db').user }}") == "pwc"


# Certificates and other parameters


@pytest.mark.parametrize(
    "asked",
    [
        "vault('/pki/issue/web', common_name='a.test', ttl='1h')",
        "vault('/pki/issue/web', ttl='1h', common_name='a.test')",
        "vault('/pki/issue/web?ttl=1h', common_name='a.test')",
        "vault('/pki/issue/web?ttl=2h&common_name=a.test', ttl='1h')",
        "vault('/pki/issue/web?common_name=a.test&ttl=1h')",
        "vault('/pki/issue/web?ttl=%31h&common_name=a.test')",
    ],
)
def test_however_parameters_are_given_it_is_one_read(vault, asked):
    vault.store.certifies("pki/issue/web", duration=60)
    found, _, _ = vault.reads(f"{{{{ {asked}.certificate }}}}")

    assert found == ["/pki/issue/web?common_name=a.test&ttl=1h"]


def test_certificate_and_key_of_one_render_are_of_one_issue(vault):
    vault.store.certifies("pki/issue/web", duration=60)
    one = "vault('/pki/issue/web', common_name='a.test')"

    text = vault.text(f"{{{{ {one}.certificate }}}} {{{{ {one}.private_key }}}}")
    assert text == "certificate 1 for a.test key-of-1-5e1f"
    assert vault.store.lent == ["a.test"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [("true", "true"), ("7", "7"), ("['a.test', 'b.test']", "a.test,b.test"), ("'x y'", "x y")],
)
def test_parameters_are_sent_as_text(vault, given, sent):
    vault.store.certifies("pki/issue/web", duration=60)

    assert vault.text(f"{{{{ vault('/pki/issue/web', common_name={given}).certificate }}}}").endswith(
        f" {sent}"
    )


def test_a_parameter_the_store_refuses_is_told(vault):
    vault.put("db", a="1")
    with pytest.raises(SourceError, match="knows no parameter 'colour'"):
        vault.text("{{ vault('db', colour='red').a }}")


def test_metadata(vault):
    vault.store.put("prod/db", {"a": "1"}, custom={"owner": "shop"})
    vault.put("db", a="2")

    assert vault.text("{{ vault.metadata('db').current_version }}") == "2"
    assert vault.text("{{ vault.metadata('db').custom_metadata.owner }}") == "shop"
    assert vault.reads("{{ vault.metadata('db').current_version }}")[0] == ["db?metadata="]


# What is missing


def test_what_is_missing_is_named_all_of_it_and_the_nearest(vault):
    vault.put("database", password="1")
    vault.put("gone", a="1")
    vault.store.delete("prod/gone")
    with pytest.raises(MissingKeys) as raised:
        vault.text("{{ vault('databse').password }}\n{{ vault('database').pasword }}\n{{ vault('gone').a }}")

    one, two, three = str(raised.value).removeprefix("3 keys are missing: ").split("; syncs.")
    assert (
        "template:1: no key 'databse' in source 'vault': there is no secret (did you mean 'database'?)" in one
    )
    assert "template:2: no key 'database#pasword' in source 'vault': the secret has no field 'pasword'" in two
    assert "did you mean 'password'?" in two
    assert "template:3: no key 'gone' in source 'vault': version 1 was deleted" in three


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("vault('x', default='d')", "d"),
        ("vault('x#a', default='d')", "d"),
        ("vault('x')|default('d')", "d"),
        ("vault('db').x|default('d')", "d"),
        ("vault('db#x')|default('d')", "d"),
        ("vault('db')['x']|default('d')", "d"),
        ("vault.get('x') is none", "True"),
        ("vault.get('db#x', 7)", "7"),
        ("vault('x') is defined", "False"),
        ("vault('db') is defined", "True"),
        ("vault('db').x is defined", "False"),
        ("vault('db').a is defined", "True"),
        ("'x' in vault", "False"),
        ("'db' in vault", "True"),
        ("'db#x' in vault", "False"),
        ("'db#a' in vault", "True"),
    ],
)
def test_what_may_be_missing_is_no_error(vault, expression, text):
    vault.put("db", a="1")

    assert vault.text(f"{{{{ {expression} }}}}") == text


def test_a_field_of_a_secret_that_may_be_missing_is_asked_for_as_one(vault):
    """As everywhere else: what has no value has no fields, and only what is asked for may be missing."""
    with pytest.raises(MissingKeys, match="no key 'x' in source 'vault'"):
        vault.text("{{ vault('x').a|default('d') }}")
    assert vault.text("{{ vault('x#a')|default('d') }}") == "d"


def test_a_missing_secret_is_recorded_so_that_its_coming_is_noticed(vault):
    vault.put("db", a="1")

    assert vault.reads("{{ vault('x', default='') }}{{ vault('db').y|default('') }}") == (
        ["db"],
        ["db#y", "x"],
        [],
    )
    assert vault.reads("{{ vault('nothing').a }}{{ vault('db').y }}") == (["db"], ["db#y", "nothing"], [])


def test_a_path_that_was_to_come_from_a_missing_key_names_that_key(vault):
    with pytest.raises(MissingKeys, match="no key 'db/path' in source 'etcd'"):
        vault.text("{{ vault(etcd('db/path')).password }}")


@pytest.mark.parametrize("path", ["''", "'db#'", "'../other/db'", "'a//b'", "'db?x'"])
def test_what_is_no_path_names_place_and_reason(vault, path):
    with pytest.raises(RenderError, match=r"template:2: .*is no path of a secret: "):
        vault.text(f"\n{{{{ vault({path}) }}}}")


def test_a_path_is_text(vault):
    with pytest.raises(RenderError, match="a path is text, not int"):
        vault.text("{{ vault(7) }}")


def test_a_denied_path_fails_the_render_and_is_what_it_waits_for(vault):
    vault.store.deny("prod/db")
    with pytest.raises(Denied, match="permission denied on prod/db"):
        vault.text("{{ vault('db').password }}")
    assert vault.reads("{{ vault('db').password }}") == ([], ["db"], [])


def test_a_source_is_no_value(vault):
    with pytest.raises(
        RenderError, match=r'vault is a source, not a value; write for example vault\("path"\)'
    ):
        vault.text("{{ vault }}")
    with pytest.raises(RenderError, match="a source of secrets has no 'json'; there is get, list"):
        vault.text("{{ vault.json('db') }}")


# Lists


@pytest.fixture
def apps(vault):
    for path in ("apps/web", "apps/db", "apps/db/replica", "apps/old/x"):
        vault.put(path, name=path)
    return vault


def test_lists(apps):
    assert apps.text("{{ vault.list('apps')|join(' ') }}") == "db db/ old/ web"
    assert apps.text("{{ vault.children('apps/')|join(' ') }}") == "db web"
    assert apps.text("{{ vault.dirs('apps')|join(' ') }}") == "db old"
    assert apps.text("{{ vault.list()|join(' ') }}|{{ vault.list('x')|length }}") == "apps/|0"
    assert apps.text("{{ vault.list('/prod/apps')|join(' ') }}") == "db db/ old/ web"


def test_the_stores_root_is_listed_by_its_slash(apps):
    assert apps.text("{{ vault.list('/')|join(' ') }}|{{ vault.dirs('/')|join(' ') }}") == "prod/|prod"


def test_a_listed_name_reads_that_secret_whatever_signs_it_has(vault):
    for name in ("north", "north#pw", "what?a=1"):
        vault.put(f"s/{name}", pw=f"of {name}")

    listing = "{% for n in vault.list('s') %}{{ vault('s/' ~ n).pw }};{% endfor %}"
    assert vault.text(listing) == "of north;of north#pw;of what?a=1;"


def test_what_was_listed_is_recorded(apps):
    assert apps.reads("{{ vault.list('apps') }}{{ vault.dirs() }}{{ vault.children('/prod/') }}") == (
        [],
        [],
        ["", "/prod", "apps"],
    )


def test_a_target_for_each_secret(apps):
    sync = {
        "for_each": "vault.children('apps')",
        "template": {"inline": "{{ vault('apps/' ~ each.key).name }}"},
        "to": "{{ each.key }}.conf",
        "sensitive": False,
    }
    made = {one.spec.path.rpartition("/")[2]: one.content for one in apps.render(sync).desired}
    assert made == {"db.conf": b"apps/db", "web.conf": b"apps/web"}


def test_for_each_over_keys_reading_secrets_and_the_other_way_round(apps):
    apps.keys = {"apps/web": "80", "apps/db": "5432"}
    over_keys = {
        "for_each": "etcd.children('apps')",
        "template": {"inline": "{{ each.value }} {{ vault('apps/' ~ each.key).name }}"},
        "to": "{{ each.key }}",
    }
    over_secrets = {
        "for_each": "vault.children('apps')",
        "template": {"inline": "{{ etcd('apps/' ~ each.key) }} {{ vault('apps/' ~ each.key).name }}"},
        "to": "{{ each.key }}",
    }
    for sync in (over_keys, over_secrets):
        made = {one.spec.path.rpartition("/")[2]: one.content for one in apps.render(sync).desired}
        assert made == {"db": b"5432 apps/db", "web": b"80 apps/web"}


# Decryption


def test_a_ciphertext_among_the_keys(vault):
    vault.keys = {"db/password": vault.encrypt("pa55 ☃") + "\n"}

    assert vault.text("{{ vault.decrypt('transit/app', etcd('db/password')) }}") == "pa55 ☃"
    assert vault.text("{{ vault.decrypt('/transit/app/', etcd('db/password')) }}") == "pa55 ☃"
    assert vault.rendered("{{ vault.decrypt('transit/app', etcd('db/password')) }}").desired[0].sensitive


def test_a_hundred_ciphertexts_are_one_request(vault):
    vault.keys = {f"c/{n:03}": vault.encrypt(f"plain {n}") for n in range(100)}
    template = "{% for _, one in etcd.children('c') %}{{ vault.decrypt('transit/app', one) }};{% endfor %}"

    assert vault.text(template) == "".join(f"plain {n};" for n in range(100))
    assert vault.store.count("decrypt") == 1
    assert vault.text(template).startswith("plain 0;")
    assert vault.store.count("decrypt") == 1


def test_ciphertexts_and_secrets_by_turns_are_one_request_too(vault):
    for n in range(120):
        vault.put(f"s/{n}", a=f"secret {n}")
    vault.keys = {f"c/{n}": vault.encrypt(f"plain {n}") for n in range(120)}
    template = (
        "{% for n in range(120) %}{{ vault.decrypt('transit/app', etcd('c/' ~ n)) }} {{ vault('s/' ~ n).a }}"
        "\n{% endfor %}"
    )

    assert vault.text(template) == "".join(f"plain {n} secret {n}\n" for n in range(120))
    assert vault.store.count("decrypt") == 1


def test_nothing_is_made_for_what_is_not_decrypted_yet(vault):
    vault.store.lends(CREDS, duration=60)
    vault.keys = {"which": vault.encrypt("static")}
    template = (
        "{% if vault.decrypt('transit/app', etcd('which')) == 'static' %}s"
        "{% else %}{{ vault('/db/creds/app').username }}{{ vault.decrypt('transit/nosuch', 'x') }}{% endif %}"
    )
    vault.store.deny("transit/nosuch")

    assert vault.text(template) == "s"
    assert vault.store.lent == []


def test_what_is_decrypted_may_be_a_ciphertext_or_a_path(vault):
    vault.put("db", password="pa55")
    vault.keys = {"twice": vault.encrypt(vault.encrypt("deep")), "path": vault.encrypt("db")}
    decrypt = "vault.decrypt('transit/app', {})"

    assert vault.text("{{ " + decrypt.format(decrypt.format("etcd('twice')")) + " }}") == "deep"
    assert vault.text("{{ vault(" + decrypt.format("etcd('path')") + ").password }}") == "pa55"


def test_nothing_is_asked_for_by_a_path_that_is_not_known_yet(vault):
    vault.store.lends(CREDS, duration=60)
    vault.keys = {"path": vault.encrypt("/" + CREDS)}

    assert vault.text("{{ vault(vault.decrypt('transit/app', etcd('path'))).username }}") == "app-1"
    assert vault.store.lent == ["app-1"]
    assert {call.path for call in vault.store.calls if call.kind == "fetch"} == {CREDS}


def test_bytes_are_decrypted_as_bytes(vault):
    vault.keys = {"c": vault.encrypt(b"\xff\x00")}

    assert vault.text("{{ vault.decrypt_bytes('transit/app', etcd('c'))|b64encode }}") == "/wA="
    with pytest.raises(RenderError, match=r"template:2: .*is not UTF-8 text .*decrypt_bytes"):
        vault.text("\n{{ vault.decrypt('transit/app', etcd('c')) }}")


def test_what_cannot_be_decrypted_names_key_reason_and_place_but_not_the_text(vault):
    vault.keys = {"good": vault.encrypt("pa55"), "bad": "garbage-garbage"}
    with pytest.raises(RenderError) as raised:
        vault.text(
            "{{ vault.decrypt('transit/app', etcd('good')) }}\n{{ vault.decrypt('transit/app', etcd('bad')) }}"
        )

    assert "template:2: vault.decrypt('transit/app', …): memory: that is no ciphertext" in str(raised.value)
    assert "garbage" not in str(raised.value)


def test_a_missing_ciphertext_is_a_missing_key(vault):
    with pytest.raises(MissingKeys, match="no key 'db/password' in source 'etcd'"):
        vault.text("{{ vault.decrypt('transit/app', etcd('db/password')) }}")


def test_a_key_that_may_not_be_used_fails_the_render(vault):
    vault.keys = {"c": vault.encrypt("x")}
    vault.store.deny(KEY)
    with pytest.raises(Denied, match="permission denied on transit/app"):
        vault.text("{{ vault.decrypt('transit/app', etcd('c')) }}")


@pytest.mark.parametrize("arguments", ["'k', 7", "7, 'x'", "'k', none", "'k', vault('db')"])
def test_decrypt_takes_texts(vault, arguments):
    vault.put("db", a="1")
    with pytest.raises(RenderError, match="decrypt takes the name of a key and a ciphertext"):
        vault.text(f"{{{{ vault.decrypt({arguments}) }}}}")


# Data maps


DATA = {
    "PORT": "vault:db#port",
    "ON": "vault:db#on",
    "PASSWORD": "vault:db#password",
    "RATIO": "vault:db#ratio",
    "HOSTS": "vault:db#hosts",
    "NONE": "vault:db#none",
    "OLD": "vault:db?version=1#password",
    "HOST": "etcd:db/host",
}


@pytest.mark.parametrize(
    ("name", "read"), [("out.json", json.loads), ("out.yaml", yaml.safe_load), ("out.toml", tomllib.loads)]
)
def test_a_data_map_keeps_types(vault, name, read):
    vault.put("db", password="old")
    vault.put("db", port=5432, on=True, password="pa55", ratio=1.5, hosts=["a", "b"], none=None)
    vault.keys = {"db/host": "db1"}

    made = read(vault.render({"data": DATA, "to": name}).desired[0].content.decode())
    assert made == {
        "PORT": 5432,
        "ON": True,
        "PASSWORD": "pa55",
        "RATIO": 1.5,
        "HOSTS": '["a", "b"]',
        "NONE": "",
        "OLD": "old",
        "HOST": "db1",
    }
    assert vault.store.count("fetch", "prod/db") == 2


def test_a_data_map_without_types_has_texts(vault):
    vault.put("db", port=5432, on=True)
    made = vault.render({"data": {"PORT": "vault:db#port", "ON": "vault:db#on"}, "to": "out.env"})

    assert made.desired[0].content == b"PORT=5432\nON=true\n"


def test_a_whole_secret_is_no_value_of_a_data_map(vault):
    vault.put("db", user="u", password="hunter2")
    with pytest.raises(RenderError, match=r"syncs\.app\.data\.DB: vault:db is a whole secret") as raised:
        vault.render({"data": {"DB": "vault:db"}, "to": "out.env"})

    assert raised.value.hint == "vault:db#password"
    assert "hunter2" not in str(raised.value)


def test_what_a_data_map_lacks_is_named_all_of_it(vault):
    vault.put("db", password="x")
    with pytest.raises(MissingKeys) as raised:
        vault.render({"data": {"A": "vault:db#pasword", "B": "vault:nothing#x"}, "to": "out.env"})

    assert "syncs.app.data.A: no key 'db#pasword' in source 'vault': the secret has no field" in str(
        raised.value
    )
    assert "syncs.app.data.B: no key 'nothing#x' in source 'vault': there is no secret" in str(raised.value)


@pytest.mark.parametrize("reference", ["vault:db#", "vault:/", "vault:a/../b#x"])
def test_what_is_no_path_in_a_data_map_names_its_entry(vault, reference):
    with pytest.raises(RenderError, match=r"syncs\.app\.data\.A: .*is no path of a secret"):
        vault.render({"data": {"A": reference}, "to": "out.env"})


# While only looking


@pytest.fixture
def lending(vault):
    vault.store.lends(CREDS, duration=60)
    return vault


def test_what_apply_would_fetch_has_placeholders(lending):
    template = "user={{ vault('/db/creds/app').username }} pass={{ vault('/db/creds/app#password') }}"
    rendered = lending.rendered(template, looking=True)

    assert rendered.desired[0].content == b"user=(fetched by apply) pass=(fetched by apply)"
    assert rendered.desired[0].sensitive
    assert lending.store.lent == []


@pytest.mark.parametrize(
    "expression",
    [
        "vault('/db/creds/app').get('username')",
        "vault('/db/creds/app').get('username', 'none')",
        "vault('/db/creds/app').username|default('none')",
        "vault.get('/db/creds/app#username', 'none')",
        "'(fetched by apply)' if 'username' in vault('/db/creds/app') else 'none'",
        "vault('/db/creds/app')|join",
        "vault('/db/creds/app').values()|join",
    ],
)
def test_however_a_placeholder_is_reached_it_is_one(lending, expression):
    assert lending.text(f"{{{{ {expression} }}}}", looking=True) == "(fetched by apply)"


@pytest.mark.parametrize("form", ["to_json", "to_yaml", "tojson"])
def test_a_whole_secret_that_is_not_fetched_is_not_written_as_an_empty_one(lending, form):
    assert "(fetched by apply)" in lending.text(f"{{{{ vault('/db/creds/app')|{form} }}}}", looking=True)


@pytest.mark.parametrize(
    "expression",
    [
        "vault('/db/creds/app').password|from_json",
        "vault('/db/creds/app').ttl + 1",
        "vault('/db/creds/app').a.b.c",
    ],
)
def test_a_template_that_works_with_a_placeholder_cannot_be_foreseen(lending, expression):
    with pytest.raises(RenderError) as raised:
        lending.text(f"{{{{ {expression} }}}}", looking=True)

    assert "the result cannot be foreseen: the template works with vault:/db/creds/app" in str(raised.value)


def test_a_data_map_has_placeholders_too(lending):
    made = lending.render({"data": {"USER": "vault:/db/creds/app#username"}, "to": "out.env"}, looking=True)

    assert b"(fetched by apply)" in made.desired[0].content


# Time, taint, what is kept


def test_waiting_for_the_store_is_not_the_templates_time(vault):
    for number in range(3):
        vault.put(f"s/{number}", a="1")
    vault.keys = {"c": vault.encrypt("x")}
    template = (
        "{% for n in vault.list('s') %}{{ vault('s/' ~ n).a }}{% endfor %}"
        "{{ vault.decrypt('transit/app', etcd('c')) }}{{ vault('nothing', default='') }}"
    )
    clock = ManualClock()
    vault.studio.renderer = Renderer(vault.studio.files, vault.studio.base, vault.studio.hasher, clock)

    def answer_late(held):
        held.arrived.wait(60)
        clock.advance(3600)
        held.release()

    with (
        vault.store.holding("prod/s") as list_held,
        vault.store.holding("prod/s/1") as secret_held,
        ThreadPoolExecutor(2) as pool,
    ):
        late = [pool.submit(answer_late, one) for one in (list_held, secret_held)]
        assert vault.text(template, limits=Limits(time="200ms")) == "111x"
        for one in late:
            one.result(60)
    assert clock.monotonic() > 7200


def test_a_template_that_is_slow_itself_is_stopped_as_ever(vault):
    vault.put("db", a="1")
    began = time.monotonic()
    with pytest.raises(LimitExceeded, match="took longer than"):
        vault.text(
            "{{ vault('db').a }}{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            limits=Limits(time="200ms"),
        )
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("template", "tainted"),
    [
        ("{{ vault('db').password }}", True),
        ("{{ vault('db#password') }}", True),
        ("{% if vault('db').on %}{% endif %}", True),
        ("{{ vault('db').nothing|default('x') }}", True),
        ("{{ vault.metadata('db').current_version }}", True),
        ("{{ vault('nothing', default='x') }}", False),
        ("{{ vault.list()|join }}", False),
        ("{{ etcd('k') }}", False),
    ],
)
def test_what_read_a_secret_is_sensitive(vault, template, tainted):
    vault.put("db", password="pa55", on=True)
    vault.keys = {"k": "v"}

    assert vault.rendered(template).desired[0].sensitive is tainted


def test_everything_read_is_kept_out_of_messages(vault):
    vault.put("db", password="hunter2", port=54321, deep={"list": ["hunter3"]}, unused="hunter4")
    vault.keys = {"c": vault.encrypt("hunter5")}
    secrets = vault.rendered("{{ vault('db').port }}{{ vault.decrypt('transit/app', etcd('c')) }}").secrets

    assert {"hunter2", "54321", "hunter3", "hunter4", "hunter5", b"hunter5"} <= secrets


def test_an_error_in_a_template_shows_nothing_it_read(vault):
    vault.put("db", password="hunter2")
    for expression in (
        "vault('db').password|from_json",
        "vault(vault('db').password).x",
        "nosuch[vault('db').password]",
    ):
        with pytest.raises((RenderError, SourceError)) as raised:
            vault.text(f"{{{{ {expression} }}}}")
        assert "hunter2" not in str(raised.value)


def test_parameters_made_of_secrets_do_not_reach_the_ledger(vault):
    vault.store.certifies("pki/issue/web", duration=60)
    vault.put("site", name="secret.test")
    template = "{{ vault('/pki/issue/web', common_name=vault('site').name).certificate }}"
    rendered = vault.rendered(template)

    assert [read.path for read in rendered.reads.keys] == ["site"]
    assert rendered.reads.impure  # without that read nobody can tell whether a render would give the same
    assert PathRead("vault", "site") in rendered.reads.keys


def test_a_path_of_a_target_may_not_be_made_of_a_secret(vault):
    vault.put("site", name="secret.test")
    with pytest.raises(RenderError, match="a path may not depend on a sensitive value"):
        vault.render({"template": {"inline": "x"}, "to": "{{ vault('site').name }}.conf"})


def test_keys_and_secrets_in_one_template(vault):
    vault.put("db", password="pa55")
    vault.keys = {"db/host": "db1", "db/port": "5432"}

    assert (
        vault.text("{{ etcd('db/host') }}:{{ etcd('db/port') }} {{ vault('db').password }}")
        == "db1:5432 pa55"
    )
    reads = vault.rendered("{{ etcd('db/host') }} {{ vault('db').password }}").reads
    assert sorted(reads.keys) == [("etcd", "db/host"), ("vault", "db")]


def test_a_store_that_is_down_fails_only_who_wants_it(vault):
    vault.keys = {"k": "v"}
    vault.store.fail_with(Unavailable("it is down"))

    assert vault.text("{{ etcd('k') }}") == "v"
    with pytest.raises(Unavailable, match="it is down"):
        vault.text("{{ etcd('k') }}{{ vault('db').x }}")


@pytest.mark.parametrize(
    "template",
    [
        "{{ etcd('nope') }} {{ vault('/" + CREDS + "').username }}",
        "{{ vault('/" + CREDS + "' ~ etcd('suffix')).username }}",
        "{{ vault('/" + CREDS + "', name=etcd('nope')).username }}",
    ],
)
def test_a_render_in_which_a_key_is_missing_makes_nothing(vault, template):
    vault.store.lends(CREDS, duration=60)
    with pytest.raises(MissingKeys):
        vault.text(template)
    assert [call for call in vault.store.calls if call.kind == "fetch"] == []


@pytest.mark.parametrize("error", [Denied, Unavailable])
def test_a_path_made_of_a_secret_is_in_no_error_status_or_log(vault, error, caplog):
    vault.put("index", tenant="acme-tenant-77")
    path = "prod/tenants/acme-tenant-77"
    vault.store.put(path, {"pw": "x"})
    text = "{{ vault('tenants/' ~ vault('index').tenant).pw }}"
    assert vault.text(text) == "x"
    vault.store.fail_with(error(f"memory: reading {path}: no", key=path), path=path)
    vault.source.resync({"tenants/acme-tenant-77"}, {"tenants/acme-tenant-77"})
    vault.source.attend()
    told = [str(vault.source.problem([Address(path)])), vault.source.describe()]
    told += [str(vars(record)) for record in caplog.records]
    assert "acme" not in " ".join(told)
    assert error.__name__ in told[0]


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ vault('db', 'password') }}", r'takes one path \(write vault\("path"\).field'),
        ("{{ vault('db') }}", r"vault\('db'\) is a whole secret, not a value \(write vault\('db'\).field"),
        ("{{ 'x' ~ vault('db') }}", "is a whole secret"),
    ],
)
def test_what_is_no_value_is_an_error_and_not_written(vault, template, told):
    vault.put("db", password="pw-1234")
    with pytest.raises(RenderError, match=told) as caught:
        vault.text(template)
    assert "pw-1234" not in str(caught.value)
