"""What may be written, what stands in for what is not, and what is said of what is wrong."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from confsync_backends.vault import VaultBackend, VaultOptions
from confsync_backends.vault.options import Mount


def refused(**written):
    with pytest.raises(ValidationError) as error:
        VaultOptions(**written)
    return str(error.value)


def test_nothing_has_to_be_written():
    options = VaultOptions()

    assert (options.address, options.namespace, options.verify) == ("http://127.0.0.1:8200", None, True)
    assert (options.timeout, options.concurrency, options.max_reply) == (10.0, 8, 32 * 2**20)
    assert options.auth.method == "token"


@pytest.mark.parametrize(
    ("variable", "value", "field", "becomes"),
    [
        ("VAULT_ADDR", "https://vault:8200", "address", "https://vault:8200"),
        ("VAULT_NAMESPACE", "team/app/", "namespace", "team/app"),
        ("VAULT_CACERT", "/ca.pem", "ca_cert", "/ca.pem"),
        ("VAULT_CAPATH", "/cas", "ca_path", "/cas"),
        ("VAULT_TLS_SERVER_NAME", "vault.test", "tls_server_name", "vault.test"),
        ("VAULT_SKIP_VERIFY", "true", "verify", False),
        ("VAULT_SKIP_VERIFY", "0", "verify", True),
    ],
)
def test_variables_of_vaults_own_clients_stand_in(monkeypatch, variable, value, field, becomes):
    monkeypatch.setenv(variable, value)

    assert getattr(VaultOptions(), field) == becomes


def test_what_is_written_goes_before_variables(monkeypatch):
    for variable in ("VAULT_ADDR", "VAULT_CACERT", "VAULT_CAPATH", "VAULT_NAMESPACE"):
        monkeypatch.setenv(variable, "from-the-environment")
    monkeypatch.setenv("VAULT_SKIP_VERIFY", "1")

    options = VaultOptions(address="https://vault:8200", ca_path="/cas", verify=True, namespace=None)

    assert (options.address, options.ca_cert, options.ca_path) == ("https://vault:8200", None, "/cas")
    assert options.verify
    assert options.namespace is None


def test_of_the_environments_two_cas_the_file_counts_as_for_vaults_own_clients(monkeypatch):
    monkeypatch.setenv("VAULT_CACERT", "/ca.pem")
    monkeypatch.setenv("VAULT_CAPATH", "/cas")

    assert (VaultOptions().ca_cert, VaultOptions().ca_path) == ("/ca.pem", None)


def test_the_environments_client_certificate_does_not_join_a_written_key(monkeypatch):
    monkeypatch.setenv("VAULT_CLIENT_CERT", "/from-the-environment.pem")

    assert "belong together" in refused(client_key="/key.pem")


@pytest.mark.parametrize(
    "address", ["https://v:8200", "https://v:8200/", "https://v:8200/v1", "https://v:8200/v1/"]
)
def test_what_follows_an_address_is_dropped(address):
    assert VaultOptions(address=address).address == "https://v:8200"


def test_an_address_may_have_a_path():
    assert VaultOptions(address="https://gate/vault/").address == "https://gate/vault"


@pytest.mark.parametrize(
    "address",
    [
        "vault:8200",
        "127.0.0.1",
        "ftp://vault",
        "https://",
        "http://v:port",
        "https://u:hunter2@v",
        "http://v?a",
        "http://v v",
        "http://v\x1b",
    ],
)
def test_an_address_that_is_none_says_what_to_write(address):
    said = refused(address=address)

    assert "https://host:8200" in said
    assert "hunter2" not in said


def test_a_wrong_variable_is_refused_like_a_wrong_option(monkeypatch):
    monkeypatch.setenv("VAULT_ADDR", "vault")

    assert "https://host:8200" in refused()


@pytest.mark.parametrize("namespace", ["a b", "a\r\nX-Evil: 1", "ü", "/"])
def test_a_namespace_that_is_no_header(namespace):
    assert "namespace" in refused(namespace=namespace)


def test_mounts_are_paths():
    mounts = VaultOptions(
        mounts={"/team/kv/": {"type": "kv", "version": 1}, "db": {"type": "database"}}
    ).mounts

    assert mounts == {"team/kv/": Mount(type="kv", version=1), "db/": Mount(type="database")}
    for wrong in ({"": {"type": "kv"}}, {"a//b": {"type": "kv"}}, {"a\n": {"type": "kv"}}):
        assert "mount path" in refused(mounts=wrong)
    assert "version is for kv" in refused(mounts={"pki": {"type": "pki", "version": 2}})
    assert "Input should be 1 or 2" in refused(mounts={"a": {"type": "kv", "version": 3}})


def test_a_proxys_password_is_not_shown():
    assert "hunter2" not in repr(VaultOptions(proxy="http://user:hunter2@proxy:3128"))
    assert "hunter2" not in refused(proxy="socks://user:hunter2@proxy:3128")


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"timeout": 5}, "needs a unit"),
        ({"timeout": "0s"}, "greater than 0"),
        ({"concurrency": 0}, "greater than or equal to 1"),
        ({"max_reply": "lots"}, "not a size"),
        ({"ca_cert": "a", "ca_path": "b"}, "not both"),
        ({"auth": {"method": "cert"}}, "needs client_cert and client_key"),
        ({"client_cert": "a"}, "belong together"),
        ({"adress": "https://vault"}, "adress"),
    ],
)
def test_what_is_wrong_is_said(written, says):
    assert says in refused(**written)


def test_opening_does_nothing(tmp_path):
    backend = VaultBackend.open(VaultOptions(address="https://no-such-host.invalid:8200"), tmp_path)

    assert backend.address == "https://no-such-host.invalid:8200"
    assert backend.session == 0
    backend.close()
    backend.close()


def test_every_option_is_described():
    assert all(field.description for field in VaultOptions.model_fields.values())
