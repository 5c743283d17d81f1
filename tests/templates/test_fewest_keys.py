"""Each template needs few keys; for all others there are defaults that its program takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from stand_ins import syntaxes
from stand_ins.stock import STOCK, Kitchen

from confsync.errors import MissingKeys, RenderError

SALTS = [
    "auth_key", "secure_auth_key", "logged_in_key", "nonce_key",
    "auth_salt", "secure_auth_salt", "logged_in_salt", "nonce_salt",
]  # fmt: skip
FEWEST: dict[str, dict[str, str]] = {
    "nginx": {"upstream/one": "10.0.0.1:80"},
    "haproxy": {"upstream/one": "10.0.0.1:80"},
    "envoy": {"upstream/one": "10.0.0.1:80"},
    "prometheus": {"scrape/node/target/one": "10.0.0.1:9100"},
    "wordpress": {
        "db/name": "blog",
        "db/user": "blog",
        "db/password": "a",
        **{f"salt/{name}": "a" for name in SALTS},
    },
}
"""What each needs; the others need nothing."""


def made(template: str, base: Path, **more: str) -> dict[str, str]:
    return dict(Kitchen(template, base).made({**FEWEST.get(template, {}), **more}))


@pytest.mark.parametrize("template", STOCK)
def test_these_keys_are_enough(template: str, tmp_path: Path) -> None:
    assert all(made(template, tmp_path).values())


@pytest.mark.parametrize(("template", "key"), [(name, key) for name, keys in FEWEST.items() for key in keys])
def test_without_one_of_them_nothing_is_made_and_it_is_named(template: str, key: str, tmp_path: Path) -> None:
    kept = {path: value for path, value in FEWEST[template].items() if path != key}
    if template == "prometheus":
        kept["scrape/node/path"] = "/metrics"

    with pytest.raises((MissingKeys, RenderError)) as caught:
        Kitchen(template, tmp_path).made(kept)

    assert key in str(caught.value) or f"below {key.rpartition('/')[0]}/" in str(caught.value)


def test_nginx_answers_to_any_name_at_port_80(tmp_path: Path) -> None:
    lines = [one.words for one in syntaxes.nginx(made("nginx", tmp_path)["site.conf"])]

    assert ("listen", "80") in lines
    assert ("server_name", "_") in lines


def test_envoy_answers_to_any_name(tmp_path: Path) -> None:
    found = yaml.safe_load(made("envoy", tmp_path)["envoy.yaml"])

    [chain] = found["static_resources"]["listeners"][0]["filter_chains"]
    [host] = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
    assert host["domains"] == ["*"]
    assert "transport_socket" not in chain


def test_redis_listens_on_this_machine_only_without_a_password(tmp_path: Path) -> None:
    lines = syntaxes.redis(made("redis", tmp_path)["redis.conf"])

    assert ["bind", "127.0.0.1"] in lines
    assert ["protected-mode", "yes"] in lines
    assert "requirepass" not in [words[0] for words in lines]


def test_postgresql_lets_nobody_in_but_the_administrator(tmp_path: Path) -> None:
    files = made("postgresql", tmp_path)

    assert ("listen_addresses", "localhost") in syntaxes.postgresql(files["postgresql.conf"])
    assert [[one[0].text for one in fields] for fields in syntaxes.pg_hba(files["pg_hba.conf"])] == [
        ["local", "all", "postgres", "peer"]
    ]


def test_the_applications_have_a_port_and_a_level(tmp_path: Path) -> None:
    assert "PORT=8080\nLOG_LEVEL=info\n" in made("dotenv", tmp_path)[".env"]
    assert set(yaml.safe_load(made("spring", tmp_path)["application.yml"])) == {"server", "logging"}
    assert json.loads(made("dotnet", tmp_path)["appsettings.json"]) == {
        "AllowedHosts": "*",
        "Logging": {"LogLevel": {"Default": "Information"}},
    }


@pytest.mark.parametrize(("template", "key", "value", "told"), [
    ("redis", "auth/password", "", "auth/password is empty"),
    ("redis", "storage/save", "900 1 300", "pairs of seconds and changes"),
    ("dotnet", "cache/password", "a,b", "has a comma"),
    ("postgresql", "parameter/archive_command", "true", "runs a command"),
    ("postgresql", "parameter/shared_preload_libraries", "evil", "loads a library"),
    ("postgresql", "parameter/Include_Dir", "/tmp", "names a file"),
    ("postgresql", "parameter/hba_file", "/tmp/x", "names a file"),
    ("postgresql", "parameter/plperl.on_init", "evil", "identifier takes"),
    ("postgresql", "access/a/tls", "true", "has no TLS"),
    ("postgresql", "access/a/method", "trust", "is none of scram-sha-256"),
    ("prometheus", "label/region", "$HOME", "has a $"),
    ("systemd", "env/LD.PRELOAD", "evil", "identifier takes"),
    ("spring", "property/a", "${HOME}", "which Spring would expand"),
    ("nginx", "route/api", "~ evil", "url_path takes"),
    ("wordpress", "db/table_prefix", "wp_'; //", "identifier takes"),
])  # fmt: skip
def test_what_a_syntax_cannot_hold_is_refused_in_so_many_words(
    template: str, key: str, value: str, told: str, tmp_path: Path
) -> None:
    more = {key: value, **({"cache/host": "a"} if key == "cache/password" else {})}
    more |= {"upstream/api/one": "10.0.0.1:80"} if key == "route/api" else {}

    with pytest.raises(RenderError) as caught:
        made(template, tmp_path, **more)

    assert told in str(caught.value)
