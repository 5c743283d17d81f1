"""`confsync docs`, and what explain, ls, check --online, plan and the daemon make of the documentation of values."""

from __future__ import annotations

import json
import re

import pytest

from confsync.redact import DOTS
from confsync.testing.waiting import eventually

KEYS = {
    "db/host": {
        "about": "the primary\nof the shop", "owner": "team-db", "type": "host", "required": True,
        "variable": "DATABASE_HOST",
    },
    "values:db/port": {"type": "port", "owner": "team|db", "required": ["prod"]},
    "upstream/*": {"type": "address", "about": "`a|b` <script>"},
    "mode": {"one_of": ["fast", "safe"]},
}  # fmt: skip


@pytest.fixture
def documented(project):
    """The usual project, with what is said of its keys."""
    project.syncs({"app": {"template": "app.conf.j2", "to": "app.conf"}}, keys=KEYS)
    return project


# docs


def test_docs_writes_a_table_for_a_wiki_that_nothing_in_it_breaks(documented):
    (documented.root / "values.yaml").unlink()  # nobody is asked
    out = documented.ok("docs").out

    tables = [line for line in out.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {7}
    assert "## any source" not in out  # there is one
    assert "| `db/host` | the primary of the shop | team-db | host | all | `DATABASE_HOST` |" in out
    assert "| `db/port` |  | team&#124;db | port | prod | `DB_PORT` |" in out
    assert "<script>" not in out
    assert "| `mode` |  |  | one of fast, safe |  | `MODE` |" in out


def test_docs_as_text_and_json(documented):
    assert re.search(
        r"^db/host +the primary of the shop +team-db +host +all +DATABASE_HOST$",
        documented.ok("docs", "--output", "text").out,
        re.M,
    )
    facts = documented.ok("docs", "--output", "json").json
    assert facts["keys"][0] == {
        "key": "db/host", "source": None, "about": "the primary\nof the shop", "owner": "team-db", "type": "host",
        "one_of": None, "required": True, "variable": "DATABASE_HOST",
    }  # fmt: skip
    assert [key["required"] for key in facts["keys"]] == [True, ["prod"], False, False]
    assert [key["variable"] for key in facts["keys"]] == ["DATABASE_HOST", "DB_PORT", None, "MODE"]


def test_docs_online_tells_which_environments_have_a_key_and_counts_what_nobody_documents(documented):
    values = {
        "dev": {"db": {"port": "1"}, "upstream": {"a": "a:1", "b": "b:1"}, "name": "x", "more": "y"},
        "prod": {"db": {"host": "h"}},
    }
    documented.values(values)
    facts = documented.ok("docs", "--online", "--output", "json").json
    assert {key["key"]: key["environments"] for key in facts["keys"]} == {
        "db/host": {"dev": "no", "prod": "yes"},
        "db/port": {"dev": "yes", "prod": "no"},
        "upstream/*": {"dev": 2, "prod": 0},
        "mode": {"dev": "no", "prod": "no"},
    }
    assert facts["undocumented"] == {"dev": {"values": 2}, "prod": {"values": 0}}

    out = documented.ok("docs", "--online").out
    assert "| `upstream/*` | &#96;a&#124;b&#96; &#60;script&#62; |  | address |  |  | 2 | 0 |" in out
    assert "values: 2 keys not documented" in out
    assert list(documented.ok("docs", "--online", "-e", "prod", "--output", "json").json["undocumented"]) == [
        "prod"
    ]


def test_docs_online_of_a_source_that_cannot_be_read(documented):
    documented.write("values.yaml", "{")
    result = documented.run("docs", "--online", "--output", "json")
    assert result.status == 1
    assert {key["environments"]["prod"] for key in result.json["keys"]} == {"unreadable"}
    assert result.json["undocumented"]["prod"] == {"values": None}
    assert result.err.startswith("confsync: values: ")
    assert len(result.err.splitlines()) == 1


def test_a_source_that_cannot_be_read_is_told_once_however_many_keys_it_has(documented):
    syncs = {name: {"template": "app.conf.j2", "to": f"{name}.conf"} for name in ("one", "two")}
    documented.syncs(syncs, keys=KEYS)
    documented.write("values.yaml", "{")
    for command in (("ls",), ("get", "db/host"), ("env", "dev"), ("exec", "dev", "--", "true")):
        assert len(documented.run(*command).err.splitlines()) == 1, command
    checked = documented.run("check", "--online").err.splitlines()
    beginnings = (
        "syncs 'one', 'two': ",
        "environment 'dev': values cannot",
        "environment 'prod': values cannot",
    )
    assert [line.startswith(f"confsync: {one}") for line, one in zip(checked, beginnings, strict=True)] == [
        True
    ] * 3


def test_docs_of_a_configuration_that_says_nothing(project):
    result = project.ok("docs")
    assert (result.out, "says nothing of any key" in result.err) == ("", True)
    assert project.ok("docs", "--output", "json").json == {"keys": []}


def test_docs_of_secrets(vaulted):
    vaulted.put("db", password="x", user="y")
    vaulted.put("web", token="z")
    keys = {
        "vault:db#password": {"about": "of the app"}, "vault:db": {"about": "all of it"}, "host": {"about": "a host"},
        "vault:none#x": {"about": "there is none"}, "vault:w*": {"about": "of the web"},
    }  # fmt: skip
    denied = vaulted.approle(f'path "{vaulted.kv}/data/db" {{ capabilities = ["deny"] }}')
    configure(vaulted, keys)
    facts = json.loads(vaulted.confsync("docs", "--online", "--output", "json").stdout)
    found = {key["key"]: (key["variable"], key["environments"]["prod"]) for key in facts["keys"]}
    assert found == {
        "db#password": ("DB_PASSWORD", "yes"), "db": (None, "yes"), "host": ("HOST", "yes"), "none#x": ("NONE_X", "no"),
        "w*": (None, 1),
    }  # fmt: skip
    assert facts["undocumented"] == {"prod": {"values": 0, "vault": 0}}

    configure(vaulted, keys, auth=denied)
    facts = json.loads(vaulted.confsync("docs", "--online", "--output", "json").stdout)
    assert [key["environments"]["prod"] for key in facts["keys"]] == ["denied", "denied", "yes", "no", 1]
    told = vaulted.confsync("docs").stdout
    assert re.findall("^## (.*)$", told, re.M) == ["any source", "vault"]


def configure(vaulted, keys, syncs=None, **more):
    """The configuration of a Vault with what is said of its keys."""
    vaulted.configure(syncs or {}, **more)
    path = vaulted.root / "confsync.yaml"
    vaulted.replace(path, path.read_text() + f"\nkeys: {json.dumps(keys)}\n")


# explain


def test_explain_of_a_key_tells_what_it_is_and_what_it_becomes(documented):
    documented.ok("apply")
    shown = documented.ok("explain", "db/host").out
    for line in (
        "  about     the primary of the shop", "  owner     team-db", "  type      host, required",
        "  value     localhost", "  variable  DATABASE_HOST",
    ):  # fmt: skip
        assert line in shown
    (facts,) = documented.ok("explain", "db/host", "--output", "json").json
    assert {name: facts[name] for name in ("about", "owner", "type", "one_of", "required", "variable", "wrong")} == {
        "about": "the primary\nof the shop", "owner": "team-db", "type": "host", "one_of": None, "required": True,
        "variable": "DATABASE_HOST", "wrong": None,
    }  # fmt: skip


def test_explain_of_a_key_nothing_is_said_of_names_its_variable(documented):
    (facts,) = documented.ok("explain", "name", "--output", "json").json
    assert (facts["about"], facts["required"], facts["variable"]) == (None, False, "NAME")


def test_explain_tells_that_a_value_is_wrong_and_what_is_missing_is_required(documented):
    documented.values({"dev": {"db": {"port": "x"}}, "prod": {}})
    (facts,) = documented.ok("explain", "db/port", "--output", "json").json
    assert facts["wrong"].startswith("the value of values:db/port is no port; write")
    assert "  wrong     the value of values:db/port is no port" in documented.ok("explain", "db/port").out
    missing = documented.ok("explain", "db/host").out
    assert "value     it does not exist, and is required" in missing
    assert "about     the primary of the shop" in missing


def test_explain_of_a_target_tells_of_each_key_it_is_made_from(documented):
    documented.ok("apply")
    assert re.search(
        r"values:dev/db/host .* the primary of the shop \(team-db\)$",
        documented.ok("explain", "app.conf").out,
        re.M,
    )
    (facts,) = documented.ok("explain", "app.conf", "--output", "json").json
    assert [(key["key"], key["about"], key["owner"]) for key in facts["keys"]] == [
        ("dev/db/host", "the primary\nof the shop", "team-db"), ("dev/db/port", None, "team|db"),
    ]  # fmt: skip


def test_explain_of_a_target_made_from_a_whole_secret_tells_of_its_fields(vaulted):
    vaulted.put("db", password="pa55", user="shop")
    sync = {"template": {"inline": "{{ vault('db').password }}"}, "to": "out/app"}
    configure(vaulted, {"vault:db#password": {"about": "of the app", "owner": "team-db"}}, {"app": sync})
    assert vaulted.confsync("apply").returncode == 0

    assert re.search(
        r"^ +#password +of the app \(team-db\)$", vaulted.confsync("explain", "out/app").stdout, re.M
    )
    (facts,) = json.loads(vaulted.confsync("explain", "out/app", "--output", "json").stdout)
    assert facts["keys"][0]["fields"] == {"password": {"about": "of the app", "owner": "team-db"}}
    (key,) = json.loads(
        vaulted.confsync("explain", f"vault:/{vaulted.kv}/db#password", "--output", "json").stdout
    )
    assert (key["about"], key["sensitive"], key["value"]) == ("of the app", True, None)


# ls


def test_ls_shows_what_keys_are_only_where_something_is_said(documented, project):
    shown = documented.ok("ls", "db", "--values").out.splitlines()
    assert re.fullmatch(
        r"values:db/host +revision \S+ +the primary of the shop \(team-db\) +localhost", shown[0]
    )
    assert re.fullmatch(r"values:db/port +revision \S+ +\(team\|db\) +5432", shown[1])
    (row, *_) = documented.ok("ls", "db", "--output", "json").json
    assert (row["about"], row["owner"], row["type"]) == ("the primary\nof the shop", "team-db", "host")

    project.syncs({})
    assert re.fullmatch(r"values:db/host +revision \S+", project.ok("ls", "db").out.splitlines()[0])


def test_ls_masks_values_of_documented_keys_too(documented):
    text = (
        (documented.root / "confsync.yaml")
        .read_text()
        .replace("path: values.yaml", "path: values.yaml\n    sensitive: true")
    )
    documented.config(text)
    shown = documented.ok("ls", "--values").out
    assert DOTS in shown
    assert "localhost" not in shown


# Before anything is written


def test_plan_and_apply_tell_of_a_wrong_value_and_write_nothing(documented):
    documented.ok("apply")
    before = documented.read("app.conf")
    documented.values({"dev": {"db": {"host": "hunter2 is secret", "port": "80"}}, "prod": {}})
    for command in ("plan", "apply"):
        result = documented.run(command)
        assert result.status == 1
        assert (
            "app.conf.j2:2: the value of values:dev/db/host is no host; write a name of letters, digits, - and dots, "
            "or an IP address (ask team-db: the primary of the shop)"
        ) in result.err
        assert "hunter2" not in result.out + result.err
    assert documented.read("app.conf") == before


def test_check_online_tells_of_every_environment_what_it_lacks_though_no_sync_reads_it(documented):
    documented.syncs({}, keys=KEYS)
    documented.values({
        "dev": {"db": {"host": "a b"}, "mode": "slow", "upstream": {"a": "x"}, "other": "anything"},
        "prod": {"db": {"host": "db1"}},
    })  # fmt: skip
    result = documented.run("check", "--online", "--output", "json")
    assert result.status == 1
    assert result.json == {
        "valid": True,
        "problems": [
            (
                "environment 'dev': the value of values:db/host is no host; write a name of letters, digits, - and "
                "dots, or an IP address (ask team-db: the primary of the shop)"
            ),
            "environment 'dev': the value of values:mode is none of 'fast', 'safe'",
            (
                "environment 'dev': the value of values:upstream/a is no address: it has no port: host:port "
                "(`a|b` <script>)"
            ),
            (
                "environment 'prod': no key 'db/port' in source 'values', which is required "
                "(did you mean 'db/host'? ask team|db)"
            ),
        ],
        "notes": [],
    }
    assert documented.run("check").status == 0
    documented.values({"dev": {"db": {"host": "db1"}}, "prod": {"db": {"host": "db1", "port": "1"}}})
    assert "all of it would be accepted" in documented.ok("check", "--online").out


def test_check_online_tells_of_secrets_and_only_notes_what_is_denied(vaulted):
    vaulted.put("db", port="x", user="shop")
    vaulted.put("tls", crt="no certificate", key="hunter2")
    keys = {
        "vault:db#port": {"type": "port"}, "vault:db#name": {"required": True, "owner": "team-db"},
        "vault:t*": {"type": "pem"}, "nowhere": {"required": True},
    }  # fmt: skip
    configure(vaulted, keys)
    checked = vaulted.confsync("check", "--online", "--output", "json")
    told = json.loads(checked.stdout)
    assert checked.returncode == 1
    assert told["notes"] == []
    assert told["problems"] == [
        (
            "environment 'prod': no key 'db#name' in source 'vault', which is required: the secret has no field 'name'"
            "; there is port, user (ask team-db)"
        ),
        "environment 'prod': no key 'nowhere' in source 'values', which is required",
        "environment 'prod': the value of vault:db#port is no port; write a whole number from 1 to 65535",
        (
            "environment 'prod': the value of vault:tls#crt is not PEM; write one or more blocks from -----BEGIN … to "
            "-----END …, base64 between them"
        ),
        (
            "environment 'prod': the value of vault:tls#key is not PEM; write one or more blocks from -----BEGIN … to "
            "-----END …, base64 between them"
        ),
    ]
    assert "hunter2" not in checked.stdout + checked.stderr

    denied = vaulted.approle(f'path "{vaulted.kv}/data/*" {{ capabilities = ["deny"] }}')
    configure(vaulted, {"vault:db#port": {"type": "port"}, "vault:t*": {"type": "pem"}}, auth=denied)
    told = json.loads(vaulted.confsync("check", "--online", "--output", "json").stdout)
    assert told["problems"] == []
    assert len(told["notes"]) == 2
    assert all("cannot be read" in note for note in told["notes"])


def test_the_daemon_notices_what_is_said_of_a_key_and_a_value_that_is_right_again(documented):
    documented.syncs({"app": {"template": "app.conf.j2", "to": "app.conf"}})
    documented.daemon()
    eventually(lambda: documented.exists("app.conf"))
    before = documented.read("app.conf")
    documented.syncs({"app": {"template": "app.conf.j2", "to": "app.conf"}}, keys={"db/host": {"type": "ip"}})
    eventually(lambda: "values:dev/db/host is no IP address" in documented.log())
    assert documented.run("status").status == 2
    assert documented.read("app.conf") == before

    documented.values({"dev": {"db": {"host": "10.0.0.1"}}, "prod": {}})
    eventually(lambda: "host = 10.0.0.1" in documented.read("app.conf"))
    eventually(lambda: documented.run("status").status == 0)


@pytest.mark.parametrize(
    ("prefix", "says"),
    [
        ("prod", "that is an environment: confsync ls -e prod"),
        ("values", "that is a source: confsync ls values:"),
        ("db*", "it is a prefix, no pattern; did you mean 'db'?"),
        ("DB/hots", "did you mean 'db/host'?"),
        (
            "values:zzz",
            "nothing at or below 'values:zzz' in environment dev (list all keys with: confsync ls)",
        ),
    ],
)
def test_ls_of_what_is_not_there_says_what_there_is(project, prefix, says):
    result = project.run("ls", prefix)
    assert (result.status, result.out) == (1, "")
    assert says in result.err
