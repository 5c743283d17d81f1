"""What is said of keys is held to before anything is written: by templates, data maps and secrets in any spelling."""

from __future__ import annotations

import time

import pytest
import yaml
from stand_ins.installed import memory_secrets as memory_secrets

from confsync.clock import SystemClock
from confsync.config.loading import load_config
from confsync.errors import MissingKeys, WrongValues
from confsync.ledger.ledger import memory_ledger
from confsync.reconcile.core import Core
from confsync.reconcile.reconciler import Reconciler
from confsync.render.renderer import RenderFailed
from confsync.testing.memory_secrets import forget_secrets, shared_secrets

SECRET = "hunter2-of-the-primary"


class Project:
    """A file called `etcd`, a store of secrets called `vault`, and one sync."""

    def __init__(self, directory):
        self.directory = directory
        self.name = str(directory)
        self.store = shared_secrets(self.name)
        self.ledger = memory_ledger(SystemClock())
        self.config = {
            "sources": {
                "etcd": {"backend": "file", "path": "etcd.yaml", "sensitive": ["*password*"]},
                "vault": {"backend": "secrets", "name": self.name},
            },
            "environments": {
                "prod": {"etcd": "prod", "vault": "prod"},
                "dev": {"etcd": "dev", "vault": "dev"},
            },
            "defaults": {"environment": "prod"},
        }
        self.values = {"prod": {"db": {"host": "db1", "port": "5432"}}, "dev": {}}

    def put(self, path, **fields):
        self.store.put(f"prod/{path}", fields)

    def configure(self, keys, sync):
        (self.directory / "etcd.yaml").write_text(yaml.safe_dump(self.values))
        document = {**self.config, "keys": keys, "syncs": {"app": {"to": "out", **sync}}}
        (self.directory / "confsync.yaml").write_text(yaml.safe_dump(document, sort_keys=False))

    def core(self, **options):
        core = Core.open(load_config(self.directory / "confsync.yaml"), self.ledger, **options)
        core.hub.refresh()
        return core

    def apply(self, keys, sync):
        """How the sync stands after an apply, and what is told of it."""
        self.configure(keys, sync)
        core = self.core()
        try:
            outcome = Reconciler(core).run_once()
            record = self.ledger.sync("app")
            return outcome.in_agreement, record.detail if record else ""
        finally:
            core.close()

    def render(self, keys, sync, **options):
        """Renders the sync without writing; raises the error itself."""
        self.configure(keys, sync)
        core = self.core(**options)
        try:
            loaded = core.loaded.config.syncs["app"]
            views = core.views(core.environment_of(loaded))
            return core.renderer.render("app", loaded, core.limits_of(loaded), views, {})
        except RenderFailed as failed:
            raise failed.error from failed
        finally:
            core.close()

    def text(self, keys, template, **options):
        rendering = self.render(keys, {"template": {"inline": template}}, **options)
        return rendering.desired[0].content.decode()

    @property
    def out(self):
        return (self.directory / "out").read_text()


@pytest.fixture
def project(tmp_path, memory_secrets):
    project = Project(tmp_path)
    yield project
    project.ledger.close()
    forget_secrets(project.name)


PORT = {"db/port": {"type": "port", "about": "of the primary", "owner": "team-db"}}
IN_TEMPLATES = [
    "{{ etcd('db/port') }}",
    "{{ etcd('/db/port/') }}",
    "{{ etcd('db/port', default='1') }}",
    "{{ etcd.get('db/port') }}",
    "{{ etcd.bytes('db/port')|b64encode }}",
    "{{ etcd.json('db/port') }}",
    "{{ etcd.yaml('db/port') }}",
    "{% for k, v in etcd.items('db') %}{{ k }}{% endfor %}",
    "{{ etcd.items()|length }}",
    "{{ etcd.children('db')|length }}",
    "{{ 'db/port' in etcd }}",
    "{% if etcd('db/port') is defined %}x{% endif %}",
]


@pytest.mark.parametrize("template", IN_TEMPLATES)
def test_a_template_that_reads_a_wrong_value_in_any_way_fails(project, template):
    assert project.text(PORT, template)
    project.values["prod"]["db"]["port"] = SECRET

    with pytest.raises(WrongValues) as raised:
        project.text(PORT, template)

    (wrong,) = raised.value.wrong
    assert (wrong.source, wrong.key) == ("etcd", "prod/db/port")
    assert str(raised.value) == (
        "syncs.app.template:1: the value of etcd:prod/db/port is no port; write a whole number from 1 to 65535 "
        "(ask team-db: of the primary)"
    )


def test_a_value_that_is_not_read_stops_nobody(project):
    project.values["prod"]["db"]["port"] = "x"
    assert project.text(PORT, "{{ etcd('db/host') }}{{ etcd.dirs()|join }}") == "db1db"


def test_a_data_map_with_a_wrong_value_fails_and_names_the_entry(project):
    project.values["prod"]["db"]["port"] = "x"
    sync = {"data": {"PORT": "etcd:db/port", "HOST": {"template": "{{ etcd('db/host') }}"}}, "to": "out.env"}
    with pytest.raises(
        WrongValues, match=r"^syncs\.app\.data\.PORT: the value of etcd:prod/db/port is no port"
    ):
        project.render(PORT, sync)


def test_everything_that_is_wrong_or_missing_is_told_at_once(project):
    keys = {"db/*": {"type": "port"}, "db/name": {"required": True, "owner": "team-db"}}
    project.values["prod"]["db"] = {"host": "x", "port": "y"}
    with pytest.raises(MissingKeys) as raised:
        project.text(
            keys,
            "{{ etcd('db/host') }}\n{{ etcd('db/port')|int }}\n{{ etcd.get('db/name') }}{{ etcd('other') }}",
        )
    assert str(raised.value) == (
        "2 keys are missing: syncs.app.template:3: no key 'db/name' in source 'etcd', which is required (ask team-db); "
        "syncs.app.template:3: no key 'other' in source 'etcd'; "
        "syncs.app.template:1: the value of etcd:prod/db/host is no port; write a whole number from 1 to 65535; "
        "syncs.app.template:2: the value of etcd:prod/db/port is no port; write a whole number from 1 to 65535"
    )


def test_a_template_that_breaks_on_a_wrong_value_tells_of_the_value(project):
    project.values["prod"]["db"]["port"] = "x"
    with pytest.raises(WrongValues):
        project.text(PORT, "{{ 1 // (etcd('db/port')|int) }}")


def test_under_for_each_the_items_are_checked(project):
    project.values["prod"]["up"] = {"a": "a:80", "b": "b"}
    sync = {
        "for_each": "etcd.items('up')", "to": "{{ each.key }}.conf",
        "template": {"inline": "{{ each.value }}"},
    }  # fmt: skip
    with pytest.raises(WrongValues, match="etcd:prod/up/b is no address: it has no port"):
        project.render({"up/*": {"type": "address"}}, sync)
    project.values["prod"]["up"]["b"] = "b:80"
    assert len(project.render({"up/*": {"type": "address"}}, sync).desired) == 2


def test_a_secret_value_is_in_no_error(project):
    project.values["prod"]["db"]["password"] = SECRET
    project.put("db", password=SECRET)
    keys = {"db/password": {"type": "port"}, "vault:db#password": {"one_of": ["a", "b"]}}
    with pytest.raises(WrongValues) as raised:
        project.text(keys, "{{ etcd('db/password') }}{{ vault('db').password }}")
    assert "hunter2" not in str(raised.value)
    assert len(raised.value.wrong) == 2


# Required keys


@pytest.mark.parametrize(
    "template",
    [
        "{{ etcd('db/name') }}",
        "{{ etcd('db/name', default='x') }}",
        "{{ etcd('db/name')|default('x') }}",
        "{{ etcd.get('db/name') }}",
        "{{ etcd.get('db/name', 'x') }}",
        "{{ etcd.json('db/name', default={}) }}",
        "{{ etcd.bytes('db/name')|default('x')|b64encode }}",
        "{% if etcd('db/name') is defined %}x{% endif %}",
        "{% if 'db/name' in etcd %}x{% endif %}",
        "{{ etcd.items('db')|length }}",
        "{{ etcd.items()|length }}",
        "{{ etcd.children('db')|length }}",
    ],
)
def test_nothing_stands_in_for_a_required_key(project, template):
    project.text({"db/name": {"about": "not required"}}, template if "default" in template else "x")
    keys = {"etcd:db/name": {"required": True, "owner": "team-db"}}

    with pytest.raises(MissingKeys) as raised:
        project.text(keys, template)

    (missing,) = raised.value.missing
    assert (missing.source, missing.key, missing.required) == ("etcd", "db/name", True)
    assert "no key 'db/name' in source 'etcd', which is required (ask team-db)" in str(raised.value)

    project.values["prod"]["db"]["name"] = "shop"
    if "json" not in template:
        project.text(keys, template)


def test_a_required_key_that_is_not_asked_for_is_not_missed(project):
    keys = {"etcd:db/name": {"required": True}, "etcd:db/deep/name": {"required": True}}
    assert (
        project.text(keys, "{{ etcd('db/host') }}{{ etcd.children('')|length }}{{ etcd.dirs()|length }}")
        == "db101"
    )
    with pytest.raises(MissingKeys):
        project.text({"etcd:db/deep/name": {"required": True}}, "{{ etcd.items('db') }}")
    assert project.text({"etcd:db/deep/name": {"required": True}}, "{{ etcd.children('db')|length }}") == "2"


def test_a_key_may_be_required_in_some_environments_only(project):
    template = "{{ etcd.get('db/name', 'x') }}"
    assert project.text({"etcd:db/name": {"required": ["dev"]}}, template) == "x"
    with pytest.raises(MissingKeys):
        project.text({"etcd:db/name": {"required": ["dev"]}}, template, environment="dev")


def test_a_glob_may_require_what_is_asked_for_by_name(project):
    with pytest.raises(MissingKeys, match="no key 'db/name' in source 'etcd', which is required"):
        project.text({"db/*": {"required": True}}, "{{ etcd.get('db/name') }}")


def test_a_required_key_that_names_no_source_may_be_found_in_another(project):
    keys = {"db/name": {"required": True}}
    project.config["sources"]["more"] = {"backend": "file", "path": "etcd.yaml"}
    project.config["environments"]["prod"]["more"] = "more"
    template = "{{ etcd.get('db/name') or more.get('db/name') }}"
    project.values["more"] = {"db": {"name": "shop"}}
    assert project.text(keys, template) == "shop"

    project.values["more"] = {}
    with pytest.raises(MissingKeys) as raised:
        project.text(keys, template)
    assert [one.source for one in raised.value.missing] == ["etcd", "more"]
    with pytest.raises(MissingKeys):  # the error is of the key, not of what came of it
        project.text(keys, "{{ etcd.get('db/name').upper() }}")


# Secrets

PASSWORD = {"vault:db#port": {"type": "port"}}
SPELLINGS = [
    "vault('db').port",
    "vault('db')['port']",
    "vault('db').get('port', 'x')",
    "vault('db').user",  # a secret that is read as a whole shows each field
    "vault('db')|to_json",
    "vault('db#port')",
    "vault('db/')['port']",
    "vault('/prod/db').port",
    "vault('/prod/db#port')",
    "vault('db', version=1).port",
    "vault('db?version=1#port')",
    "vault.get('db#port', 'x')",
    "'db#port' in vault",
    "'db' in vault",
]


@pytest.mark.parametrize("expression", SPELLINGS)
@pytest.mark.parametrize("text", ["vault:db#port", "vault:/prod/db#port", "db#port", "vault:d*#p*"])
def test_a_field_is_checked_by_whichever_spelling_it_is_read(project, expression, text):
    project.put("db", port="x", user="shop")
    with pytest.raises(WrongValues, match=r"the value of vault:\S*db\S*#port is no port"):
        project.text({text: {"type": "port"}}, f"{{{{ {expression} }}}}")


@pytest.mark.parametrize("expression", SPELLINGS)
def test_a_field_that_is_right_passes_in_the_type_the_store_has_it(project, expression):
    project.put("db", port=5432, user="shop")
    assert project.text(PASSWORD, f"{{{{ {expression} }}}}")


def test_what_a_store_knows_of_a_secret_is_no_field_of_it(project):
    project.put("db", port=5432)
    keys = {"vault:db": {"type": "port"}, "vault:db#user": {"required": True}}
    assert project.text(keys, "{{ vault.metadata('db').current_version }}") == "1"


def test_of_a_secret_each_field_may_be_meant(project):
    project.put("tls", crt="x", key="y")
    with pytest.raises(WrongValues) as raised:
        project.text({"vault:tls": {"type": "pem"}}, "{{ vault('tls').crt }}")
    assert [one.key for one in raised.value.wrong] == ["prod/tls#crt", "prod/tls#key"]


@pytest.mark.parametrize(
    "expression",
    [
        "vault('db').get('port', 'x')",
        "vault('db').port|default('x')",
        "vault('db').port is defined",
        "'port' in vault('db')",
        "vault('db').user",
        "vault('db')|to_json",
        "vault('db#port', default='x')",
        "vault.get('db#port')",
        "vault.get('/prod/db#port')",
        "'db#port' in vault",
    ],
)
@pytest.mark.parametrize("stored", [{"user": "shop"}, None])
def test_nothing_stands_in_for_a_required_field(project, expression, stored):
    if stored is not None:
        project.put("db", **stored)
    with pytest.raises(MissingKeys) as raised:
        project.text({"vault:db#port": {"required": True}}, f"{{{{ {expression} }}}}")
    assert "db#port' in source 'vault', which is required" in str(raised.value)


def test_nothing_stands_in_for_a_required_secret_or_any_field_of_it(project):
    keys = {"vault:db": {"required": True}}
    for expression in ("vault.get('db', {})", "vault.get('db#port', 'x')", "'db' in vault"):
        with pytest.raises(MissingKeys, match="in source 'vault', which is required"):
            project.text(keys, f"{{{{ {expression} }}}}")
    project.put("db", user="shop")
    for expression in ("vault.get('db#port', 'x')", "vault('db').get('port', 'x')", "'port' in vault('db')"):
        with pytest.raises(MissingKeys, match="no key 'db#port' in source 'vault', which is required"):
            project.text(keys, f"{{{{ {expression} }}}}")


def test_another_field_that_is_missing_does_not_make_a_required_one_missing(project):
    project.put("db", port=5432)
    assert project.text({"vault:db#port": {"required": True}}, "{{ vault.get('db#user', 'x') }}") == "x"


def test_a_field_in_a_data_map_is_checked_and_missed(project):
    project.put("db", port="x")
    sync = {"data": {"PORT": "vault:db#port", "USER": "vault:db#user"}, "to": "out.env"}
    with pytest.raises(MissingKeys) as raised:
        project.render({"vault:db#port": {"type": "port"}, "vault:db#user": {"required": True}}, sync)
    told = str(raised.value)
    assert "syncs.app.data.USER: no key 'db#user' in source 'vault', which is required" in told
    assert "syncs.app.data.PORT: the value of vault:prod/db#port is no port" in told


def test_what_is_not_fetched_just_to_look_is_not_checked(project):
    project.store.lends("db/creds/app", duration=60)
    keys = {"vault:/db/creds/app#username": {"type": "port"}, "vault:/db/creds/app#none": {"required": True}}
    template = {
        "template": {"inline": "{{ vault('/db/creds/app').username }}{{ vault('/db/creds/app#username') }}"}
    }
    project.configure(keys, template)
    core = project.core(looking=True)
    try:
        assessment = Reconciler(core, looking=True).assess("app")
    finally:
        core.close()
    assert (assessment.error, project.store.lent) == (None, [])
    with pytest.raises(MissingKeys):
        project.render(keys, template)


def test_once_a_key_is_wrong_nothing_is_made_for_the_render(project):
    project.values["prod"]["db"]["port"] = "x"
    project.store.lends("db/creds/app", duration=60)
    with pytest.raises(WrongValues):
        project.text(PORT, "{{ etcd('db/port') }}{{ vault('/db/creds/app').username }}")
    assert project.store.lent == []


# Files stay as they are, and what is said is noticed


def test_the_file_stays_as_it_is_until_the_value_is_right_again(project):
    sync = {"template": {"inline": "port = {{ etcd('db/port') }}\n"}}
    assert project.apply(PORT, sync) == (True, "")
    project.values["prod"]["db"]["port"] = "54 32"

    agrees, told = project.apply(PORT, sync)
    assert (agrees, project.out) == (False, "port = 5432\n")
    assert "etcd:prod/db/port is no port" in told

    project.values["prod"]["db"]["port"] = "5433"
    assert project.apply(PORT, sync) == (True, "")
    assert project.out == "port = 5433\n"


@pytest.mark.parametrize(
    "keys",
    [
        {"db/port": {"type": "ip"}},
        {"db/port": {"one_of": ["1"]}},
        {"db/*": {"type": "ip"}},
        {"etcd:db/name": {"required": True}},
        {"etcd:db/name": {"required": ["prod"]}},
    ],
)
def test_what_is_said_of_a_key_anew_is_noticed_though_no_value_changed(project, keys):
    sync = {"template": {"inline": "{{ etcd('db/port') }}{{ etcd.get('db/name') }}"}}
    assert project.apply({}, sync)[0]
    assert not project.apply(keys, sync)[0]
    assert project.apply({}, sync)[0]


def test_what_decides_nothing_is_no_reason_to_render_again(project):
    project.configure({}, {"template": {"inline": "x"}})
    digests = set()
    for keys in (
        {},
        {"db/port": {"about": "a port", "owner": "team-db", "variable": "PORT"}},
        {"etcd:db/port": {"required": ["dev"]}},
    ):
        project.configure(keys, {"template": {"inline": "x"}})
        core = project.core()
        digests.add(core.spec_digest(core.loaded.config.syncs["app"]))
        core.close()
    assert len(digests) == 1


def test_ten_thousand_checked_keys_take_little_time(project):
    project.values["prod"] = {"up": {f"server{n}": f"10.0.0.1:{n + 1}" for n in range(10_000)}}
    template = "{{ etcd.items('up')|length }}"

    def taken(keys):
        begin = time.thread_time()
        assert project.text(keys, template) == "10000"
        return time.thread_time() - begin

    without = taken({})
    assert taken({"up/*": {"type": "address"}}) - without < 3
