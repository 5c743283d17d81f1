from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from confsync.errors import Denied
from confsync_backends.etcd import Credential, EtcdBackend, EtcdOptions
from confsync_backends.etcd.options import reveal


def test_without_options_it_is_the_local_etcd():
    assert EtcdOptions().endpoints == ["http://127.0.0.1:2379"]


def test_an_endpoint_without_a_scheme_is_http():
    assert EtcdOptions(endpoints="db:2379").endpoints == ["http://db:2379"]


def test_the_same_endpoint_twice_counts_once():
    assert EtcdOptions(endpoints=["db:2379", "http://db:2379/"]).endpoints == ["http://db:2379"]


def test_an_ipv6_endpoint_keeps_its_brackets():
    assert EtcdOptions(endpoints="https://[::1]:2379").endpoints == ["https://[::1]:2379"]


@pytest.mark.parametrize(
    ("options", "teaches"),
    [
        ({"endpoints": ["http://a:1", "https://b:1"]}, "mixed"),
        ({"endpoints": ["ftp://a:1"]}, "unknown scheme 'ftp'"),
        ({"endpoints": ["http://a"]}, "needs a host and a port"),
        ({"endpoints": ["http://a:1/v3"]}, "nothing may follow the port"),
        ({"endpoints": ["http://a:99999"]}, "not an etcd endpoint"),
        ({"endpoints": []}, "at least 1"),
        ({"endpoints": ["http://a b:1"]}, "a character no address has"),
        ({"endpoints": ["http://a\x1b:1"]}, "a character no address has"),
        ({"endpoints": ["http://a#hunter2@a:1"]}, "must not hold credentials"),
        ({"endpoints": ["http://me:hunter2@a:1"]}, "must not hold credentials"),
        ({"endpoints": ["http://a:1"], "discovery_srv": "example.org"}, "not both"),
        ({"user": "shop"}, "belong together"),
        ({"tls": {"ca": "ca.pem"}}, "write https://"),
        ({"endpoints": ["https://a:1"], "tls": {"verify": False}}, "set tls.ca"),
        ({"endpoints": ["https://a:1"], "tls": {"cert": "c.pem"}}, "belong together"),
        ({"user": "shop", "password": {}}, "exactly one of file, env"),
        ({"user": "shop", "password": {"file": "f", "env": "E"}}, "exactly one of file, env"),
        ({"timeout": 5}, "needs a unit"),
        ({"timeout": "0s"}, "greater than 0"),
        ({"endpoint": ["a:1"]}, "endpoint"),
    ],
)
def test_a_wrong_option_is_refused_with_what_to_write_instead(options, teaches):
    with pytest.raises(ValidationError) as caught:
        EtcdOptions(**options)

    assert teaches in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_password_shows_nowhere():
    options = EtcdOptions(user="shop", password="hunter2")

    assert "hunter2" not in repr(options)
    with pytest.raises(ValidationError) as caught:
        EtcdOptions(user="shop", password=["hunter2"])
    assert "hunter2" not in str(caught.value)


def test_a_password_file_is_relative_to_the_configuration_and_read_each_time(tmp_path):
    secret = Credential(file="password")

    (tmp_path / "password").write_text("one\n")
    assert reveal(secret, tmp_path) == "one"
    (tmp_path / "password").write_text("two\n")
    assert reveal(secret, tmp_path) == "two"


def test_a_password_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("ETCD_PASSWORD", "one")

    assert reveal(Credential(env="ETCD_PASSWORD"), tmp_path) == "one"


def test_a_missing_password_is_denied_and_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(Denied, match="NO_SUCH_VARIABLE is not set"):
        reveal(Credential(env="NO_SUCH_VARIABLE"), tmp_path)
    with pytest.raises(Denied, match=r"absent cannot be read: No such file"):
        reveal(Credential(file="absent"), tmp_path)


def test_a_password_that_is_no_text_is_denied_without_quoting_it(tmp_path, monkeypatch):
    monkeypatch.setenv("ETCD_PASSWORD", "hunter2\udcff")
    for secret in (Credential(env="ETCD_PASSWORD"), SecretStr("hunter2\udcff")):
        with pytest.raises(Denied, match=r"no password: .* is not UTF-8 text") as caught:
            reveal(secret, tmp_path)
        assert "hunter2" not in f"{caught.value} {caught.value.__cause__!r}"


def test_a_password_file_that_is_not_text_is_denied_without_quoting_it(tmp_path):
    (tmp_path / "password").write_bytes(b"\xff\xfehunter2")

    with pytest.raises(Denied, match="not UTF-8") as caught:
        reveal(Credential(file="password"), tmp_path)
    assert "hunter2" not in str(caught.value)


def test_opening_touches_neither_files_nor_the_network(tmp_path):
    options = EtcdOptions(
        endpoints="https://no-such-host.invalid:2379",
        tls={"ca": "absent.pem"},
        user="shop",
        password={"file": "absent"},
    )

    backend = EtcdBackend.open(options, tmp_path)

    assert backend.address == "https://no-such-host.invalid:2379"
    backend.close()


def test_every_option_is_described():
    fields = EtcdOptions.model_json_schema()["properties"]

    assert all(field.get("description") for field in fields.values())
