"""A configuration made for pods, read by a person: their token, their address, and neither anywhere else."""

from __future__ import annotations

import pytest
from stand_ins.person import person as person
from stand_ins.vault import VaultServer
from stand_ins.vault.admin import VaultAdmin
from stand_ins.vault.fixtures import vault as vault
from stand_ins.vault.fixtures import vault_server as vault_server

from confsync.errors import ConfigError, Denied, Invalid, Unavailable
from confsync.source.registry import open_source
from confsync.testing import ports

POD = {"method": "kubernetes", "role": "shop"}
PASSWORD = "correct horse"
NOTHING = 'path "a/b" { capabilities = ["read"] }'


@pytest.fixture
def secrets(vault):
    """The mount of a secret `db`."""
    mount = vault.admin.mount_kv()
    vault.admin.put(mount, "db", {"password": PASSWORD})
    return mount


@pytest.fixture
def nowhere(free_port):
    """An address at which nobody answers."""
    return f"http://127.0.0.1:{free_port}"


@pytest.fixture
def free_port():
    return ports.free_port()


@pytest.fixture
def other():
    """Another Vault, which must see nothing of what is not its own."""
    with VaultServer() as server:
        yield server


def source(address, auth=POD, **options):
    return {"backend": "vault", "address": address, "auth": auth, "timeout": "30s", **options}


def is_alive(vault, token):
    status, _ = vault.admin.call("GET", "auth/token/lookup-self", headers={"X-Vault-Token": token})
    return status == 200


def test_a_token_in_its_variable_takes_the_place_of_a_pods_login(person, vault, secrets):
    person.variable("VAULT_TOKEN", vault.token)

    assert (
        person.read({"vault": source(vault.address)}, "vault", "db#password", {"vault": secrets}) == PASSWORD
    )
    (told,) = [record for record in person.log.records if record.message == "personal credentials"]
    assert (told.source, told.taken) == ("vault", f"token of $VAULT_TOKEN, for {vault.address}")


@pytest.mark.parametrize(
    "auth", [POD, {"method": "jwt", "role": "ci", "token_env": "CI_TOKEN"}, {"method": "token"}]
)
def test_what_vault_login_left_at_home_takes_its_place_too(person, vault, secrets, auth):
    person.token_file(vault.token + "\n")

    assert (
        person.read({"vault": source(vault.address, auth)}, "vault", "db#password", {"vault": secrets})
        == PASSWORD
    )


def test_the_variable_goes_before_the_file_as_for_vault_itself(person, vault, secrets):
    person.token_file("s.not-this-one")
    person.variable("VAULT_TOKEN", vault.token)

    assert (
        person.read({"vault": source(vault.address)}, "vault", "db#password", {"vault": secrets}) == PASSWORD
    )


def test_an_empty_file_counts_as_none(person, vault):
    person.token_file("")

    with pytest.raises(Denied, match=r"/var/run/secrets.*log in as yourself"):
        person.read({"vault": source(vault.address)}, "vault", "db#password", {"vault": "secret"})


def test_an_approle_gives_way_though_its_secret_id_is_here(person, vault, secrets, vault_server):
    login = vault.admin.approle([vault.admin.policy("none", NOTHING)])
    (person.project / "secret-id").write_text(login.secret_id)
    auth = {
        "method": "approle",
        "mount": login.mount,
        "role_id": login.role_id,
        "secret_id_file": "secret-id",
    }
    person.variable("VAULT_TOKEN", vault.token)

    assert (
        person.read({"vault": source(vault.address, auth)}, "vault", "db#password", {"vault": secrets})
        == PASSWORD
    )
    assert vault_server.count("POST", f"auth/{login.mount}/login") == 0


def test_a_token_of_ones_own_is_never_revoked(person, vault, secrets):
    token = vault.admin.token([vault.admin.policy("all", 'path "*" { capabilities = ["read"] }')])
    person.variable("VAULT_TOKEN", token)

    person.read({"vault": source(vault.address)}, "vault", "db#password", {"vault": secrets})

    assert is_alive(vault, token)


def test_the_variable_takes_the_place_of_an_address_that_only_a_pod_knows(person, vault, secrets, nowhere):
    person.variable("VAULT_TOKEN", vault.token)
    person.variable("VAULT_ADDR", vault.address)
    pod = source(
        nowhere, ca_cert="/nowhere/ca.crt", client_cert="/nowhere/tls.crt", client_key="/nowhere/tls.key"
    )

    assert person.read({"vault": pod}, "vault", "db#password", {"vault": secrets}) == PASSWORD


def test_a_namespace_that_is_written_stays_for_it_says_which_secrets(person, vault, secrets):
    person.variable("VAULT_TOKEN", vault.token)
    person.variable("VAULT_ADDR", vault.address)
    team = vault.admin.namespace("team")
    mount = team.mount_kv()
    team.put(mount, "db", {"password": "the team's"})
    person.variable("VAULT_NAMESPACE", "another")

    read = source(vault.address, namespace=team.namespace_path)

    assert person.read({"vault": read}, "vault", "db#password", {"vault": mount}) == "the team's"


def test_certificates_of_a_pod_that_are_not_here_are_told_with_the_variable(person, vault):
    person.variable("VAULT_TOKEN", vault.token)

    with pytest.raises(Invalid) as caught:
        person.read({"vault": source("https://127.0.0.1:1", ca_cert="/nowhere/ca.crt")}, "vault", "db#a")

    assert "ca_cert: /nowhere/ca.crt" in str(caught.value)
    assert "set VAULT_CACERT to files of this machine" in str(caught.value)


def test_a_certificates_variable_takes_the_place_of_the_pods_and_is_relative_to_here(
    person, tmp_path, monkeypatch
):
    person.variable("VAULT_TOKEN", "s.mine")
    person.variable("VAULT_CACERT", "mine.pem")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(Invalid) as caught:
        person.read({"vault": source("https://127.0.0.1:1", ca_cert="/nowhere/ca.crt")}, "vault", "db#a")

    assert f"{tmp_path}/mine.pem" in str(caught.value)


def test_without_any_token_the_error_says_how_to_log_in_and_where(person, vault):
    with pytest.raises(Denied) as caught:
        person.read({"vault": source(vault.address)}, "vault", "db#password", {"vault": "secret"})

    assert "/var/run/secrets" in str(caught.value)
    assert f"log in as yourself: vault login -address={vault.address}, or set VAULT_TOKEN" in str(
        caught.value
    )


def test_a_machines_login_works_on_where_its_credentials_are(person, vault, secrets):
    policy = vault.admin.policy("read", f'path "{secrets}/*" {{ capabilities = ["read"] }}')
    login = vault.admin.approle([policy])
    (person.project / "secret-id").write_text(login.secret_id)
    auth = {
        "method": "approle",
        "mount": login.mount,
        "role_id": login.role_id,
        "secret_id_file": "secret-id",
    }

    assert (
        person.read({"vault": source(vault.address, auth)}, "vault", "db#password", {"vault": secrets})
        == PASSWORD
    )


def test_a_machines_login_is_never_sent_to_the_address_of_the_variable(person, vault, secrets, other):
    policy = vault.admin.policy("read", f'path "{secrets}/*" {{ capabilities = ["read"] }}')
    login = vault.admin.approle([policy])
    (person.project / "secret-id").write_text(login.secret_id)
    auth = {
        "method": "approle",
        "mount": login.mount,
        "role_id": login.role_id,
        "secret_id_file": "secret-id",
    }
    person.variable("VAULT_ADDR", other.address)

    assert (
        person.read({"vault": source(vault.address, auth)}, "vault", "db#password", {"vault": secrets})
        == PASSWORD
    )
    assert not other.requests


def test_a_refused_token_is_told_by_its_place_and_by_whose_address(person, vault):
    person.variable("VAULT_TOKEN", "s.wrong-one")
    person.variable("VAULT_ADDR", vault.address)

    with pytest.raises(Denied) as caught:
        person.read(
            {"vault": source("http://vault.invalid:8200")}, "vault", "db#password", {"vault": "secret"}
        )

    assert f"vault at {vault.address} ($VAULT_ADDR, token of $VAULT_TOKEN)" in str(caught.value)
    assert f"vault login -address={vault.address}" in str(caught.value)
    assert "s.wrong-one" not in str(caught.value)


def test_what_ones_policies_deny_is_told_by_whose_token(person, vault, secrets):
    person.token_file(vault.admin.token([vault.admin.policy("none", NOTHING)]))

    with pytest.raises(Denied, match=r"\(token of ~/\.vault-token\).*policies allow nothing"):
        person.read({"vault": source(vault.address)}, "vault", "db#password", {"vault": secrets})


def test_an_address_that_only_a_pod_reaches_is_told_with_the_variable(person, nowhere):
    person.variable("VAULT_TOKEN", "s.mine")

    with pytest.raises(
        Unavailable, match=r"connection refused.*set VAULT_ADDR to its address from this machine"
    ):
        person.read({"vault": source(nowhere)}, "vault", "db#password", {"vault": "secret"})


def test_a_wrong_variable_is_refused_by_its_name(person, vault):
    person.variable("VAULT_TOKEN", vault.token)
    person.variable("VAULT_ADDR", "vault.example.com")

    with pytest.raises(ConfigError, match=r"^\$VAULT_ADDR: write Vault's address as https://host:8200"):
        person.read({"vault": source(vault.address)}, "vault", "db#password")


def test_a_persons_login_that_is_configured_stays_with_its_address(person, vault, secrets, other):
    policy = vault.admin.policy("read", f'path "{secrets}/*" {{ capabilities = ["read"] }}')
    login = vault.admin.userpass([policy])
    person.variable("MY_PASSWORD", login.password)
    person.variable("VAULT_TOKEN", other.root_token)
    person.variable("VAULT_ADDR", other.address)
    auth = {
        "method": "userpass",
        "mount": login.mount,
        "username": login.username,
        "password_env": "MY_PASSWORD",
    }

    assert (
        person.read({"vault": source(vault.address, auth)}, "vault", "db#password", {"vault": secrets})
        == PASSWORD
    )
    assert not other.requests


def test_a_persons_login_gives_way_where_its_password_is_not_here(person, vault, secrets):
    person.variable("VAULT_TOKEN", vault.token)
    for auth in (
        {"method": "userpass", "username": "shop", "password_file": "/run/secrets/nowhere"},
        {"method": "token", "file": "/vault/secrets/nowhere"},
        {"method": "token", "env": "NO_SUCH_VARIABLE"},
    ):
        read = {"vault": source(vault.address, auth)}
        assert person.read(read, "vault", "db#password", {"vault": secrets}) == PASSWORD


def two(vault, other, auth=POD):
    return {"ours": source(vault.address, auth), "theirs": source(other.address, auth)}


@pytest.mark.parametrize("auth", [POD, {"method": "token"}])
def test_of_two_vaults_only_the_one_that_is_meant_gets_the_token(person, vault, secrets, other, auth):
    person.variable("VAULT_TOKEN", vault.token)
    person.variable("VAULT_ADDR", vault.address + "/")
    here = {"ours": secrets, "theirs": "secret"}

    assert person.read(two(vault, other, auth), "ours", "db#password", here) == PASSWORD
    with pytest.raises(Denied, match="in several Vaults.*set VAULT_ADDR=" + other.address):
        person.read(two(vault, other, auth), "theirs", "db#password", here)
    assert not any(request.token for request in other.requests)


@pytest.mark.parametrize("auth", [POD, {"method": "token"}])
@pytest.mark.parametrize("said", ["", "http://127.0.0.1:1"])
def test_of_two_vaults_none_gets_a_token_of_which_nobody_says_for_which(
    person, vault, vault_server, other, auth, said
):
    person.token_file(vault.token)
    if said:
        person.variable("VAULT_ADDR", said)

    for name in ("ours", "theirs"):
        with pytest.raises(Denied, match="in several Vaults, and your token is for one of them"):
            person.read(two(vault, other, auth), name, "db#password")

    assert not [request for server in (vault_server, other) for request in server.requests if request.token]


def test_two_sources_in_one_vault_both_move(person, vault, secrets, nowhere):
    person.variable("VAULT_TOKEN", vault.token)
    person.variable("VAULT_ADDR", vault.address)
    both = {"a": source(nowhere), "b": source(nowhere + "/", namespace="team")}

    assert person.read(both, "a", "db#password", {"a": secrets}) == PASSWORD


def test_a_wrapped_secret_id_is_left_alone_where_no_token_is_meant(person, vault, other):
    admin = VaultAdmin(other.address, other.root_token)
    login = admin.approle([admin.policy("none", NOTHING)])
    (person.project / "wrapped").write_text(admin.secret_id(login.mount, wrap_ttl="10m"))
    auth = {
        "method": "approle",
        "role_id": login.role_id,
        "mount": login.mount,
        "wrapped_secret_id_file": "wrapped",
    }
    person.variable("VAULT_TOKEN", vault.token)
    before = len(other.requests)

    with pytest.raises(Denied, match="in several Vaults"):
        person.read({"ours": source(vault.address), "theirs": source(other.address, auth)}, "theirs", "db#a")

    assert len(other.requests) == before


def test_nothing_changes_for_machines(person, vault):
    person.variable("VAULT_TOKEN", vault.token)

    with pytest.raises(Denied) as caught:
        person.read({"vault": source(vault.address)}, "vault", "db#a", {"vault": "secret"}, personal=False)

    assert "log in as yourself" not in str(caught.value)


def test_opening_asks_nobody(person, nowhere):
    person.variable("VAULT_TOKEN", "s.mine")
    person.variable("VAULT_ADDR", nowhere)
    (person.project / "confsync.yaml").write_text(f"sources: {{v: {{backend: vault, address: '{nowhere}'}}}}")
    from confsync.config.loading import load_config

    backend = open_source(load_config(person.project / "confsync.yaml"), "v", personal=True)

    assert backend.address == f"{nowhere} ($VAULT_ADDR, token of $VAULT_TOKEN)"
    backend.close()
