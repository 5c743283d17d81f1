"""`confsync check`: what it says of a configuration to programs, and of environments that no sync uses."""

from __future__ import annotations

import json

import yaml

CONFIG = {
    "sources": {"values": {"backend": "file", "path": "values.yaml"}},
    "environments": {"dev": {"values": "dev"}, "staging": {"values": "staging"}},
    "defaults": {"environment": "dev"},
    "keys": {"db/host": {"required": True}},
    "syncs": {"app": {"template": {"inline": "{{ values('db/host') }}\n"}, "to": "app.conf"}},
}


def test_of_a_configuration_that_cannot_be_read_programs_are_told_too(project):
    project.config("sources: {values: {backend: file, path: values.yaml}}\nsynks: {}\n")
    result = project.run("check", "--output", "json")
    assert result.status == 3
    assert result.json["valid"] is False
    assert "synks" in result.json["problems"][0]
    assert result.err == ""


def test_what_every_environment_is_required_to_have_is_looked_for_in_every_environment(project):
    project.config(yaml.safe_dump(CONFIG))
    project.values({"dev": {"db": {"host": "one"}}, "staging": {"db": {}}})
    result = project.run("check", "--online")
    assert result.status == 1
    assert "environment 'staging': no key 'db/host' in source 'values', which is required" in result.err
    project.values({"dev": {"db": {"host": "one"}}, "staging": {"db": {"host": "two"}}})
    assert project.ok("check", "--online").err == ""


def test_what_is_said_of_keys_that_no_secret_can_have_is_told(project):
    vault = {"backend": "vault", "address": "http://127.0.0.1:1", "auth": {"method": "token", "env": "TOKEN"}}
    wrong = ["vault:db#", "vault:../db#password", "db#", "vault:a//b#c", "vault:*#"]
    right = ["vault:db#password", "db#password", "vault:db", "vault:*#*", "db/", "vault:"]
    config = CONFIG | {
        "sources": {**CONFIG["sources"], "vault": vault},
        "keys": {text: {"type": "port"} for text in [*wrong, *right, "values:a#", "values:../b"]},
    }
    project.config(yaml.safe_dump(config))

    result = project.run("check", "--output", "json")

    assert result.status == 3
    named = {
        text for text in wrong for problem in result.json["problems"] if f": {text!r} names no key" in problem
    }
    assert (named, len(result.json["problems"])) == (set(wrong), len(wrong))
    assert any("after # the name of a field is missing" in problem for problem in result.json["problems"])


def test_what_is_denied_in_an_environment_that_no_sync_uses_is_a_note(vaulted):
    vaulted.put("db", password="x")
    closed = f'path "{vaulted.kv}/data/other/*" {{ capabilities = ["deny"] }}'
    vaulted.configure({}, auth=vaulted.approle(closed))
    path = vaulted.root / "confsync.yaml"
    config = yaml.safe_load(path.read_text())
    config["environments"]["other"] = {"vault": f"{vaulted.kv}/other"}
    config["keys"] = {"vault:db#password": {"required": True}}
    vaulted.replace(path, yaml.safe_dump(config))
    found = vaulted.confsync("check", "--online", "--output", "json")
    told = json.loads(found.stdout)
    assert (found.returncode, told["problems"]) == (0, [])
    (note,) = told["notes"]
    assert note.startswith("environment 'other': vault:db#password is required, and cannot be read")
