"""What is made means to the program what the keys say: at the edges where a file is valid all the same, or nearly."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from stand_ins import syntaxes
from stand_ins.stock import STOCK, Kitchen, stock_file

from confsync.errors import RenderError

PROXIES = ("nginx", "haproxy", "envoy")
UPSTREAM = {"upstream/one": "10.0.0.1:80"}
POOL = {**UPSTREAM, "upstream/api/one": "10.0.0.2:80"}
TLS = {"tls/certificate_file": "/c.pem", "tls/key_file": "/k.pem"}
SALTS = [
    f"salt/{name}_{kind}"
    for name in ("auth", "secure_auth", "logged_in", "nonce")
    for kind in ("key", "salt")
]
BLOG = {"db/name": "blog", "db/user": "blog", "db/password": "a", **dict.fromkeys(SALTS, "a")}


def made(template: str, base: Path, values: dict[str, str], name: str = "") -> str:
    """The one file, or the one called `name`."""
    files = dict(Kitchen(template, base).made(values))
    return files[name] if name else "".join(files.values())


# Proxies


@pytest.mark.parametrize("app", ["shop", "1shop", "http", "arg", "requests", "Shop-1.a"])
def test_no_name_of_an_application_makes_a_variable_that_nginx_has(app: str, tmp_path: Path) -> None:
    """`$1shop` is `$1` and then text; `$http_…` and its like are headers, arguments, cookies."""
    lines = [one.words for one in syntaxes.nginx(made("nginx", tmp_path, {**UPSTREAM, "app/name": app}))]

    [mapped] = [words[2] for words in lines if words[0] == "map"]
    assert re.fullmatch(r"\$upgrade_\w+", mapped)
    assert ("proxy_set_header", "Connection", mapped) in lines


@pytest.mark.parametrize(("path", "location"), [
    ("/api/", "/api/"), ("/a%20b/", "/a b/"), ("/%61pi", "/api"), ("/a%22%7B%24b", '/a"{$b'), ("/%C3%A9", "/é"),
])  # fmt: skip
def test_nginx_compares_a_route_with_what_is_decoded(path: str, location: str, tmp_path: Path) -> None:
    lines = [one.words for one in syntaxes.nginx(made("nginx", tmp_path, {**POOL, "route/api": path}))]

    assert [words[1:] for words in lines if words[0] == "location"] == [("/",), (location,)]


@pytest.mark.parametrize("template", PROXIES)
@pytest.mark.parametrize("paths", [("/",), ("/api/", "/api/")])
def test_a_path_goes_to_one_pool(template: str, paths: tuple[str, ...], tmp_path: Path) -> None:
    routes = {f"route/{name}": path for name, path in zip("ab", paths, strict=False)}
    pools = {f"upstream/{name}/one": "10.0.0.2:80" for name in "ab"}

    with pytest.raises(RenderError, match=r"route/[ab] is a path that goes elsewhere already"):
        made(template, tmp_path, {**UPSTREAM, **pools, **routes})


@pytest.mark.parametrize(("http2", "listens", "directive"), [
    ("parameter", ("listen", "443", "ssl", "http2"), False),
    ("directive", ("listen", "443", "ssl"), True),
    ("none", ("listen", "443", "ssl"), False),
])  # fmt: skip
def test_http2_is_asked_for_as_the_nginx_there_is_takes_it(
    http2: str, listens: tuple[str, ...], directive: bool, tmp_path: Path
) -> None:
    text = made("nginx", tmp_path, {**UPSTREAM, **TLS, "tls/http2": http2})
    lines = [one.words for one in syntaxes.nginx(text)]

    assert listens in lines
    assert (("http2", "on") in lines) is directive


def test_haproxy_sends_on_the_whole_of_a_long_url(tmp_path: Path) -> None:
    """`capture.req.uri` ends after 1024 bytes."""
    text = made("haproxy", tmp_path, {**UPSTREAM, **TLS, "tls/port": "8443"})

    assert ":8443%[pathq] code 301" in text


def test_haproxy_becomes_the_user_it_is_told(tmp_path: Path) -> None:
    user = {**UPSTREAM, "server/user": "haproxy"}

    assert not re.search("^ +(user|group) ", made("haproxy", tmp_path, UPSTREAM), re.M)
    assert "    user haproxy\n    group haproxy\n" in made("haproxy", tmp_path, user)
    assert "    group proxies\n" in made("haproxy", tmp_path, {**user, "server/group": "proxies"})


def test_envoy_has_each_name_once(tmp_path: Path) -> None:
    """It refuses a domain that is there twice."""
    found = yaml.safe_load(made("envoy", tmp_path, {**UPSTREAM, "server/name": "b.test a.test b.test"}))

    [chain] = found["static_resources"]["listeners"][0]["filter_chains"]
    [host] = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
    assert host["domains"] == ["b.test", "a.test"]


DURATIONS = [
    ("nginx", "timeout/read", "proxy_read_timeout {}ms;"),
    ("nginx", "timeout/connect", "proxy_connect_timeout {}ms;"),
    ("haproxy", "timeout/read", "timeout client {}ms"),
    ("haproxy", "timeout/connect", "timeout connect {}ms"),
    ("postgresql", "log/min_duration", "log_min_duration_statement = {}\n"),
    ("prometheus", "scrape_interval", "  scrape_interval: {}ms"),
    ("prometheus", "scrape/node/interval", "    scrape_interval: {}ms"),
    ("systemd", "service/restart_delay", "RestartSec={}ms"),
    ("systemd", "service/stop_timeout", "TimeoutStopSec={}ms"),
]


@pytest.mark.parametrize(("template", "key", "line"), DURATIONS)
def test_a_duration_is_neither_cut_nor_made_none(template: str, key: str, line: str, tmp_path: Path) -> None:
    needed = UPSTREAM if template in PROXIES else {"scrape/node/target/one": "a:1"}

    assert line.format(4007) in made(template, tmp_path, {**needed, key: "4007ms"})
    assert line.format(1) in made(template, tmp_path, {**needed, key: "0.1ms"})


@pytest.mark.parametrize("key", ["timeout/read", "timeout/connect"])
def test_envoy_gets_no_more_digits_than_it_takes(key: str, tmp_path: Path) -> None:
    """The nine of a protobuf Duration; 1.001 in binary has more, when written out."""
    assert "timeout: 1.001s\n" in made("envoy", tmp_path, {**UPSTREAM, key: "1001ms"})


@pytest.mark.parametrize(("template", "key"), [
    *[(proxy, key) for proxy in PROXIES for key in ("timeout/read", "timeout/connect")],
    ("prometheus", "scrape_interval"), ("prometheus", "scrape/node/interval"), ("systemd", "service/stop_timeout"),
])  # fmt: skip
def test_0_which_each_takes_for_something_else_is_refused(template: str, key: str, tmp_path: Path) -> None:
    needed = UPSTREAM if template in PROXIES else {"scrape/node/target/one": "a:1"}

    with pytest.raises(RenderError, match=f"{key} has to be longer than 0"):
        made(template, tmp_path, {**needed, key: "0s"})


# PostgreSQL


def rule(base: Path, **fields: str) -> list[str]:
    """The fields of what is made of one rule of access."""
    values = {f"access/a/{name}": value for name, value in fields.items()}
    lines = syntaxes.pg_hba(made("postgresql", base, values, "pg_hba.conf"))
    return [field[0].text for field in lines[1]]


@pytest.mark.parametrize(("address", "written"), [
    ("10.0.3.5", "10.0.3.5/32"), ("::1", "::1/128"), ("10.0.0.0/255.0.0.0", "10.0.0.0/8"), ("fd00::/8", "fd00::/8"),
    ("samenet", "samenet"), ("db1.example.com", "db1.example.com"),
])  # fmt: skip
def test_an_address_has_the_prefix_that_postgresql_wants(address: str, written: str, tmp_path: Path) -> None:
    """Without one it does not start."""
    assert rule(tmp_path, address=address)[3] == written


@pytest.mark.parametrize("fields", [
    {"method": "peer"}, {"method": "gss", "address": "all"}, {"method": "md5"}, {"method": "reject", "address": "all"},
    {"method": "cert", "address": "all", "tls": "true"},
])  # fmt: skip
def test_a_method_stands_where_postgresql_takes_it(fields: dict[str, str], tmp_path: Path) -> None:
    assert rule(tmp_path, **fields)[-1] == fields["method"]


@pytest.mark.parametrize(("fields", "told"), [
    ({"method": "peer", "address": "all"}, "access/a/method is peer, which is for the local socket only"),
    ({"method": "gss"}, "access/a/method is gss, which is not for the local socket"),
    ({"method": "cert", "address": "all"}, "access/a/tls has to be true"),
    ({"method": "ldap", "address": "all"}, "is none of scram-sha-256"),
    ({"address": "fe80::1%a\nhost all all all trust\n#/64"}, "is no host"),
])  # fmt: skip
def test_a_line_for_which_postgresql_would_refuse_all_is_refused(
    fields: dict[str, str], told: str, tmp_path: Path
) -> None:
    with pytest.raises(RenderError) as caught:
        rule(tmp_path, **fields)

    assert told in str(caught.value)


@pytest.mark.parametrize(("level", "senders"), [("minimal", ["0"]), ("replica", []), ("logical", [])])
def test_at_the_level_minimal_there_are_no_senders_with_which_postgresql_would_not_start(
    level: str, senders: list[str], tmp_path: Path
) -> None:
    lines = syntaxes.postgresql(made("postgresql", tmp_path, {"wal/level": level}, "postgresql.conf"))

    assert [value for name, value in lines if name == "max_wal_senders"] == senders


# Redis


def redis(base: Path, **more: str) -> list[list[str]]:
    values = {
        **TLS,
        "tls/ca_file": "/ca.pem",
        **{name.replace("__", "/"): text for name, text in more.items()},
    }
    return syntaxes.redis(made("redis", base, values))


def test_redis_may_have_no_port_without_tls(tmp_path: Path) -> None:
    assert ["port", "6379"] in redis(tmp_path)
    assert ["port", "0"] in redis(tmp_path, tls__only="true")
    with pytest.raises(RenderError, match="tls/only leaves no port at all"):
        made("redis", tmp_path, {"tls/only": "true"})


def test_a_replica_may_use_tls(tmp_path: Path) -> None:
    assert ["tls-replication", "yes"] in redis(tmp_path, replica__of="db1:6380", replica__tls="true")
    assert ["tls-replication", "yes"] not in redis(tmp_path, replica__of="db1:6379")
    with pytest.raises(RenderError, match="replica/tls needs"):
        made("redis", tmp_path, {**TLS, "replica/of": "db1:6380", "replica/tls": "true"})


@pytest.mark.parametrize(("template", "key", "value", "told"), [
    ("redis", "memory/max", "lots", "memory/max has to be a whole number"),
    ("redis", "memory/max", "2GiB", "memory/max has to be a whole number"),
    ("redis", "storage/save", "0 1", "whole_number takes 1"),
    ("nginx", "server/max_body", "8mb", "server/max_body has to be a whole number"),
    ("systemd", "limit/memory", "512MiB", "limit/memory has to be a whole number"),
    ("systemd", "service/environment_file", "run/shop.env", "has to begin with /"),
])  # fmt: skip
def test_what_the_program_would_not_start_with_or_ignore_is_refused(
    template: str, key: str, value: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(RenderError) as caught:
        made(template, tmp_path, {**UPSTREAM, key: value})

    assert told in str(caught.value)


def test_systemd_may_be_told_of_no_limit(tmp_path: Path) -> None:
    assert "MemoryMax=infinity\n" in made("systemd", tmp_path, {"limit/memory": "infinity"})


# Prometheus


def test_prometheus_may_be_told_whose_certificates_to_believe(tmp_path: Path) -> None:
    values = {
        "scrape/node/target/one": "a:1",
        "scrape/node/scheme": "https",
        "scrape/node/ca_file": "/ca.pem",
    }
    found = yaml.safe_load(made("prometheus", tmp_path, values, "prometheus.yml"))

    assert found["scrape_configs"][0]["tls_config"] == {"ca_file": "/ca.pem"}


def test_a_password_without_a_user_is_not_left_out_in_silence(tmp_path: Path) -> None:
    values = {"scrape/node/target/one": "a:1", "scrape/node/password": "hunter2"}

    with pytest.raises(RenderError, match="no scrape/node/user to log in as") as caught:
        made("prometheus", tmp_path, values)
    assert "hunter2" not in str(caught.value)


# Applications


def test_a_constant_of_ones_own_is_in_place_of_the_templates(tmp_path: Path) -> None:
    """PHP warns of what is defined twice, to every visitor."""
    own = {"define/DB_COLLATE": "utf8mb4_bin", "define/DISALLOW_FILE_EDIT": "false", "define/AUTH_KEY": "b"}
    text = made("wordpress", tmp_path, {**BLOG, **own})
    defined = re.findall(r"^define\('(\w+)', (.*)\);$", text, re.M)

    assert len(dict(defined)) == len(defined)
    assert dict(defined) | {
        "DB_COLLATE": "'utf8mb4_bin'", "DISALLOW_FILE_EDIT": "false", "AUTH_KEY": "'b'", "DB_USER": "'blog'",
    } == dict(defined)  # fmt: skip


@pytest.mark.parametrize(("template", "key", "told"), [
    ("spring", "property/server", "property/server would be there twice"),
    ("spring", "property/spring", "property/spring would be there twice"),
    ("spring", "property/logging", "property/logging would be there twice"),
    ("spring", "log/logger/root", "is log/level"),
    ("dotnet", "setting/AllowedHosts", "there twice"),
    ("dotnet", "setting/allowedhosts", "there twice"),
    ("dotnet", "setting/Logging/LogLevel/Default", "there twice"),
    ("dotnet", "log/logger/default", "there twice"),
    ("dotnet", "setting/smtp/host", "there twice"),
    ("dotnet", "setting/ConnectionStrings/Redis", "there twice"),
])  # fmt: skip
def test_what_the_application_would_find_twice_is_refused(
    template: str, key: str, told: str, tmp_path: Path
) -> None:
    """Neither Spring's reader of YAML nor .NET's of JSON takes a name twice; .NET's compares without case."""
    choices = Kitchen(template, tmp_path).choices
    value = choices["log/logger/*"][0] if key.startswith("log/") else "a"

    with pytest.raises(RenderError, match=told):
        made(template, tmp_path, {"setting/Smtp/Host": "b", "cache/host": "a", key: value})


# Secrets

SECRETS = {
    "dotenv": ["db/password", "env/SMTP_PASSWORD", "env/SMTP_PASS", "env/SECRET_KEY", "env/API_KEY", "env/GH_TOKEN"],
    "dotnet": [
        "setting/a/Password", "setting/Jwt/Secret", "setting/Api/Key", "setting/ApiKey", "setting/ConnectionStrings/A",
    ],
    "spring": [
        "property/spring.mail.password", "property/app.jwtSecret", "property/app.api-key", "property/app.accessToken",
    ],
    "wordpress": ["salt/auth_key", "define/SMTP_PASS", "define/AWS_SECRET_ACCESS_KEY", "define/API_TOKEN"],
    "postgresql": ["parameter/primary_conninfo"],
    "haproxy": ["stats/password"],
    "redis": ["auth/password", "replica/password"],
    "prometheus": ["scrape/shop/password"],
}  # fmt: skip


@pytest.mark.parametrize("template", SECRETS)
def test_what_is_called_like_a_secret_is_one(template: str) -> None:
    config: dict[str, Any] = yaml.safe_load(stock_file(template, "confsync.yaml"))
    secret = config["sources"]["values"]["sensitive"]

    assert [
        key for key in SECRETS[template] if not any(fnmatch.fnmatchcase(key, glob) for glob in secret)
    ] == []


@pytest.mark.parametrize("template", ["dotenv", "dotnet", "spring", "wordpress"])
def test_no_laptop_gets_it_without_a_substitute(template: str) -> None:
    """`db/password` has one; these are what may be added."""
    config: dict[str, Any] = yaml.safe_load(stock_file(template, "confsync.yaml"))
    held = config["local"]["prod"]["deny"]
    added = [key for key in SECRETS[template] if key != "db/password"]

    assert [key for key in added if not any(fnmatch.fnmatchcase(key, glob) for glob in held)] == []


@pytest.mark.parametrize("template", STOCK)
def test_it_is_one_in_the_other_store_as_well(template: str) -> None:
    text = stock_file(template, "confsync.yaml")
    given = re.findall(r"^  (?:# )?values: \{.*?(sensitive: \[.*?\])?\}", text, re.M)

    assert len(given) == 2
    assert len(set(given)) == 1
