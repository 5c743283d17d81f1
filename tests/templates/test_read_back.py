"""What the programs read of hostile values: the values, as text, and nothing besides.

It is read from golden/TEMPLATE/hostile, which test_golden.py has made by the real command; with real readers where
there are some in Python or everywhere, else by the documented rules (stand_ins/syntaxes.py). test_programs.py asks the
programs themselves.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from stand_ins import syntaxes

HERE = Path(__file__).parent


def given(template: str) -> dict[str, Any]:
    """The hostile values."""
    values: dict[str, Any] = yaml.safe_load((HERE / "hostile" / f"{template}.yaml").read_text("utf-8"))
    return values


def made(template: str, name: str) -> str:
    """The file that was made of them."""
    return (HERE / "golden" / template / "hostile" / name).read_bytes().decode()


def test_nginx_reads_the_paths() -> None:
    tls = given("nginx")["tls"]
    found = {line.words[0]: line.words[1:] for line in syntaxes.nginx(made("nginx", "site.conf"))}

    assert found["ssl_certificate"] == (tls["certificate_file"],)
    assert found["ssl_certificate_key"] == (tls["key_file"],)


def test_nginx_has_no_directive_but_those_of_the_template() -> None:
    found = [(line.depth, line.words[0]) for line in syntaxes.nginx(made("nginx", "site.conf"))]

    assert [name for depth, name in found if depth == 0] == [
        "upstream",
        "upstream",
        "map",
        "server",
        "server",
    ]
    assert [name for depth, name in found if depth == 2] == ["proxy_pass", "proxy_pass"]


def test_haproxy_reads_path_and_password() -> None:
    values = given("haproxy")
    lines = syntaxes.haproxy(made("haproxy", "haproxy.cfg"))

    assert ["stats", "auth", f"{values['stats']['user']}:{values['stats']['password']}"] in lines
    assert [words[4] for words in lines if words[:1] == ["bind"] and "ssl" in words] == [
        values["tls"]["certificate_file"]
    ]


def test_envoy_reads_the_paths_and_addresses() -> None:
    values = given("envoy")
    found = yaml.safe_load(made("envoy", "envoy.yaml"))

    [listener], [cluster] = found["static_resources"]["listeners"], found["static_resources"]["clusters"]
    [chain] = listener["filter_chains"]
    [certificate] = chain["transport_socket"]["typed_config"]["common_tls_context"]["tls_certificates"]
    [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert certificate == {
        "certificate_chain": {"filename": values["tls"]["certificate_file"]},
        "private_key": {"filename": values["tls"]["key_file"]},
    }
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": "2001:db8::1", "port_value": 9000}


def test_redis_reads_the_secrets_and_paths() -> None:
    values = given("redis")
    lines = syntaxes.redis(made("redis", "redis.conf"))

    assert ["requirepass", values["auth"]["password"]] in lines
    assert ["masterauth", ""] in lines
    assert ["dir", values["storage"]["directory"]] in lines
    assert ["tls-ca-cert-file", values["tls"]["ca_file"]] in lines
    assert ["replicaof", "2001:db8::1", "6380"] in lines


def test_postgresql_reads_the_parameters() -> None:
    values = given("postgresql")
    found = dict(syntaxes.postgresql(made("postgresql", "postgresql.conf")))

    assert found["shared_buffers"] == values["memory"]["shared_buffers"]
    assert found["application_name"] == values["parameter"]["application_name"]
    assert found["ssl_key_file"] == values["tls"]["key_file"]


def test_pg_hba_has_names_that_are_no_keywords() -> None:
    [_, first, second, third] = syntaxes.pg_hba(made("postgresql", "pg_hba.conf"))
    names = ["all", '"all"', "a b", "+x", "@y", "#z", "é😀"]

    assert [token.text for token in first[1]] == names
    assert [token.text for token in first[1] if not token.quoted] == ["all"]
    assert [token.text for token in first[2]] == given("postgresql")["access"]['1\n#"']["user"].split(",")
    assert [len(fields) for fields in (first, second, third)] == [5, 5, 4]


def test_prometheus_reads_login_label_and_targets() -> None:
    values = given("prometheus")
    found = yaml.safe_load(made("prometheus", "prometheus.yml"))
    [(job, wanted)] = values["scrape"].items()

    [read] = found["scrape_configs"]
    assert read["basic_auth"] == {"username": wanted["user"], "password": wanted["password"]}
    assert found["global"]["external_labels"] == values["label"]
    assert found["rule_files"] == list(values["rules"].values())
    [[name, _]] = wanted["target"].items()
    assert json.loads(made("prometheus", f"targets/{job}.json")) == [
        {"targets": ["[2001:db8::1]:9100"], "labels": {"name": name}}
    ]


def test_systemd_reads_the_variables() -> None:
    settings = syntaxes.systemd(made("systemd", "50-confsync.conf"))
    read = [
        syntaxes.systemd_words(one.value)
        for one in settings
        if (one.section, one.name) == ("Service", "Environment")
    ]

    assert read == [[f"{name}={value}"] for name, value in sorted(given("systemd")["env"].items())]


def test_a_shell_reads_the_variables() -> None:
    path = HERE / "golden" / "dotenv" / "hostile" / ".env"
    script = 'set -a; . "$1"; exec env -0'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", str(path)], env={}, capture_output=True, check=True, text=True
    )
    found = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)

    values = given("dotenv")
    assert found["APP_NAME"] == values["app"]["name"]
    assert found["APP_ENV"] == values["app"]["environment"]
    assert found["LOG_LEVEL"] == values["log"]["level"]
    assert {name: found[name] for name in values["env"]} == values["env"]
    database, cache = urlsplit(found["DATABASE_URL"]), urlsplit(found["REDIS_URL"])
    assert (database.hostname, database.port) == (values["db"]["host"], 5432)
    assert unquote(database.path[1:]) == values["db"]["name"]
    assert unquote(database.password or "") == values["db"]["password"]
    assert unquote(cache.password or "") == values["cache"]["password"]


def test_spring_reads_the_properties() -> None:
    values = given("spring")
    found = yaml.safe_load(made("spring", "application.yml"))

    assert found["spring"]["application"]["name"] == values["app"]["name"]
    source = found["spring"]["datasource"]
    assert (source["username"], source["password"]) == ("no", values["db"]["password"])
    assert unquote(source["url"].rpartition("/")[2]) == values["db"]["name"]
    assert found["spring"]["data"]["redis"]["password"] == "1e3"
    assert found["on"] == values["property"]["on"]
    assert set(found) == {"server", "spring", "logging", *values["property"]}


def test_dotnet_reads_the_settings() -> None:
    values = given("dotnet")
    found = json.loads(made("dotnet", "appsettings.json"))

    [[name, setting]] = values["setting"].items()
    assert found[f"{name}:b"] == setting["b"]
    assert found["ConnectionStrings"]["Redis"] == f"[::1]:6379,password={values['cache']['password']}"
    assert syntaxes.connection_string(found["ConnectionStrings"]["Default"]) == {
        "Host": values["db"]["host"],
        "Port": "5432",
        "Database": values["db"]["name"],
        "Username": values["db"]["user"],
        "Password": values["db"]["password"],
    }


def test_php_reads_the_constants() -> None:
    values = given("wordpress")
    script = syntaxes.php(made("wordpress", "wp-config.php"))
    harmless = syntaxes.php((HERE / "golden" / "wordpress" / "prod" / "wp-config.php").read_text())

    found = dict(zip(script.strings, script.strings[1:], strict=False))
    assert found["DB_PASSWORD"] == values["db"]["password"]
    assert found["NONCE_SALT"] == values["salt"]["nonce_salt"]
    assert found["WP_HOME"] == values["app"]["url"]
    texts = {name: value for name, value in values["define"].items() if name not in ("B", "D")}
    assert {name: found[name] for name in texts} == texts
    statements = {line for line in script.code.splitlines() if line}
    assert statements - set(harmless.code.splitlines()) == {"define('', -5);"}
