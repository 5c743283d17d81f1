"""What `keys` says of a key: found by any spelling of it, quickly, and for the sources it is for."""

from __future__ import annotations

import time
from contextlib import contextmanager

import pytest
import yaml

from confsync.clock import SystemClock
from confsync.config.loading import load_config
from confsync.snapshot import PLACEHOLDER
from confsync.source.documentation import Documentation
from confsync.source.hub import SourceHub

SOURCES = {"etcd": {"backend": "file", "path": "a.yaml"}, "vault": {"backend": "vault"}}
PREFIXES = {"prod": {"etcd": "prod", "vault": "secret/prod"}, "dev": {"etcd": "dev", "vault": "secret/dev"}}


@pytest.fixture
def documented(tmp_path):
    """Gives what is said of keys, in prod; nobody is asked for anything."""

    @contextmanager
    def opened(keys, environment="prod", sources=SOURCES, environments=PREFIXES):
        config = tmp_path / "confsync.yaml"
        config.write_text(yaml.safe_dump({
            "sources": sources, "environments": environments, "keys": keys,
        }, sort_keys=False))  # fmt: skip
        loaded = load_config(config)
        hub = SourceHub(loaded, [environment], SystemClock())
        try:
            yield Documentation(loaded, hub, environment)
        finally:
            hub.close()

    return opened


def about(documentation, source, path):
    key = documentation.of(source, path)
    return key and key.about


def test_what_is_written_out_goes_before_globs_and_a_glob_before_those_after_it(documented):
    keys = {
        "db/*": {"about": "first glob"}, "*": {"about": "any"}, "db/host": {"about": "never here"},
        "*/port": {"about": "never: db/* and * go before"}, "etcd:db/host": {"about": "itself"},
    }  # fmt: skip
    with documented(keys) as documentation:
        assert about(documentation, "etcd", "db/host") == "itself"
        assert about(documentation, "etcd", "/db/host/") == "itself"
        assert about(documentation, "etcd", "db/port") == "first glob"
        assert about(documentation, "etcd", "db/a/b") == "first glob"
        assert about(documentation, "etcd", "web/port") == "any"


def test_of_a_source_that_nothing_is_said_of(documented):
    with documented({"vault:db#password": {"about": "it"}}) as documentation:
        assert documentation.rules("etcd") is None
        assert documentation.rules("vault") is not None
        assert about(documentation, "etcd", "db#password") is None
    with documented({}) as documentation:
        assert documentation.rules("vault") is None
        assert about(documentation, "vault", "db#password") is None


def test_globs_in_many_folders_keep_their_order(documented):
    keys = {
        "a/x*": {"about": "1"}, "*y": {"about": "2"}, "a/*": {"about": "3"}, "b/*": {"about": "4"},
        "[ab]/*": {"about": "5"}, "c/z?*": {"about": "6"},
    }  # fmt: skip
    with documented(keys) as documentation:
        found = {
            path: about(documentation, "etcd", path)
            for path in ("a/xy", "a/y", "a/z", "b/y", "b/z", "c/zz", "c/z")
        }
    assert found == {"a/xy": "1", "a/y": "2", "a/z": "3", "b/y": "2", "b/z": "4", "c/zz": "6", "c/z": None}


@pytest.mark.parametrize(
    "path",
    [
        "db#password",
        "db/#password",
        "db?version=2#password",
        "/secret/prod/db#password",
        "/secret/prod/db?version=2#password",
    ],
)
def test_every_spelling_of_a_field_is_told_of(documented, path):
    for text in (
        "vault:db#password",
        "db#password",
        "vault:/secret/prod/db#password",
        "vault:d*#pass*",
        "vault:db",
    ):
        with documented({text: {"about": "it"}}) as documentation:
            assert about(documentation, "vault", path) == "it", text


@pytest.mark.parametrize(
    "path",
    [
        "db#user",
        "web#password",
        "/secret/dev/db#password",
        "/db#password",
        "db",
        "db?metadata=#password",
        "a//b#password",
        "db#",
    ],
)
def test_no_other_secret_is_told_of(documented, path):
    with documented({"vault:db#password": {"about": "it"}}) as documentation:
        assert about(documentation, "vault", path) is None


def test_a_field_goes_before_its_secret_and_what_is_written_out_before_globs(documented):
    keys = {
        "vault:db*": {"about": "glob"},
        "vault:db": {"about": "secret"},
        "vault:db#password": {"about": "field"},
    }
    with documented(keys) as documentation:
        assert about(documentation, "vault", "db#password") == "field"
        assert about(documentation, "vault", "db#user") == "secret"
        assert about(documentation, "vault", "db") == "secret"
        assert about(documentation, "vault", "db2#user") == "glob"
        assert about(documentation, "vault", "db?metadata=#current_version") is None


def test_what_is_made_with_parameters_may_be_told_of_with_and_without_them(documented):
    keys = {
        "vault:/pki/issue/web?common_name=a.test#certificate": {"about": "of a"},
        "vault:/pki/issue/web#certificate": {"about": "of any"},
    }
    with documented(keys) as documentation:
        assert about(documentation, "vault", "/pki/issue/web?common_name=a.test#certificate") == "of a"
        assert about(documentation, "vault", "/pki/issue/web?common_name=b.test#certificate") == "of any"
        assert about(documentation, "vault", "pki/issue/web#certificate") is None


def test_from_the_root_below_several_prefixes_none_is_meant_for_certain(documented):
    layered = {"prod": {"vault": ["secret/prod", "secret/common"]}}
    keys = {"vault:/secret/prod/db#password": {"about": "it"}}
    with documented(keys, environments=layered) as documentation:
        assert about(documentation, "vault", "db#password") is None
        assert about(documentation, "vault", "/secret/prod/db#password") == "it"


def test_what_is_written_out_is_given_in_the_spelling_of_its_source(documented):
    keys = {
        "/db/host": {"about": "a"}, "db#password": {"about": "b"}, "vault:/a/b": {"about": "c"},
        "vault:db": {"about": "d"}, "up/*": {"about": "a glob"}, "etcd:x#y": {"about": "e"}, "etcd:": {"about": "all"},
        "etcd:a[*]b": {"about": "f"}, "vault:web/": {"about": "all below"},
    }  # fmt: skip
    with documented(keys) as documentation:
        written_out = {
            source: {path: key.about for path, key in documentation.written_out(source)} for source in SOURCES
        }
    # Without a source it is for those where it can be a key.
    assert written_out == {
        "etcd": {"db/host": "a", "x#y": "e", "a*b": "f"},
        "vault": {"db#password": "b", "/a/b": "c", "db": "d"},
    }


def test_in_a_configuration_of_secrets_only_a_key_without_a_field_is_a_secret(documented):
    with documented(
        {"db": {"about": "it"}}, sources={"vault": SOURCES["vault"]}, environments={"prod": {}}
    ) as documentation:
        assert [path for path, _ in documentation.written_out("vault")] == ["db"]


def test_what_an_environment_has_to_have(documented):
    sources = {**SOURCES, "more": {"backend": "file", "path": "b.yaml"}}
    keys = {
        "db/host": {"required": True}, "etcd:db/port": {"required": ["dev"]}, "db#password": {"required": ["prod"]},
        "*": {"required": True}, "db/name": {"required": False}, "more:x": {"required": ["dev", "prod"]},
    }  # fmt: skip
    for environment, expected in {
        "prod": {
            "db/host": (("etcd", "db/host"), ("more", "db/host")),
            "db#password": (("vault", "db#password"),),
            "more:x": (("more", "x"),),
        },
        "dev": {
            "db/host": (("etcd", "db/host"), ("more", "db/host")),
            "etcd:db/port": (("etcd", "db/port"),),
            "more:x": (("more", "x"),),
        },
    }.items():
        with documented(keys, environment, sources=sources) as documentation:
            assert {one.text: one.places for one in documentation.required()} == expected


def test_a_problem_is_one_line_that_has_nothing_of_the_value(documented):
    keys = {
        "db/port": {"type": "port", "about": "of the\nprimary", "owner": "team-db"},
        "vault:db": {"one_of": ["a"]},
    }
    with documented(keys) as documentation:
        told = documentation.problem("etcd", "db/port", b"hunter2")
        assert told == (
            "the value of etcd:db/port is no port; write a whole number from 1 to 65535 (ask team-db: of the primary)"
        )
        assert documentation.problem("vault", "db#x", b"hunter2") == "the value of vault:db#x is none of 'a'"
        assert documentation.problem("vault", "db#x\x1b[31m", b"hunter2") == (
            r"the value of vault:db#x\x1b[31m is none of 'a'"
        )
        assert documentation.problem("etcd", "db/port", b"80") is None
        assert documentation.problem("etcd", "other", b"hunter2") is None
        assert documentation.problem("etcd", "db/port", PLACEHOLDER.encode()) is None


def test_of_a_secret_nothing_is_told_of_its_length(documented):
    keys = {f"{source}:db{field}": {"type": "json"} for source, field in (("etcd", ""), ("vault", "#x"))}
    with documented(keys) as documentation:
        for value in (b'{"a": "b"', b'{"a": "hunter2"', b'"a\nb\xff', b'"abc\xff'):
            shown = documentation.problem("etcd", "db", value)
            hidden = documentation.problem("vault", "db#x", value)
            at = value.find(b"\xff")
            place = f"line 1, column {len(value) + 1}" if at < 0 else f"byte {at}"
            assert place in shown
            assert hidden == "the value of vault:db#x is not " + (
                "JSON; write one JSON document" if at < 0 else "UTF-8 text"
            )


def test_ten_thousand_entries_are_looked_up_as_quickly_as_ten(documented):
    keys = {f"etcd:team{n % 100}/key{n}": {"type": "port"} for n in range(9_000)}
    keys |= {f"etcd:team{n}/*": {"type": "host"} for n in range(900)}
    keys |= {f"vault:db{n}#password": {"type": "string"} for n in range(100)}
    with documented(keys) as documentation:
        begin = time.process_time()
        for n in range(10_000):
            documentation.problem("etcd", f"team{n % 1000}/key{n}", b"80")
        # On the slowest machines too: entry by entry it would take minutes.
        assert time.process_time() - begin < 5
        assert documentation.of("etcd", "team899/x").type == "host"
        assert documentation.of("etcd", "team1/key1").type == "port"
        assert documentation.of("vault", "db99#password").type == "string"
