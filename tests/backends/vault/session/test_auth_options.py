"""What a user may write under `auth`, and what is said when it cannot be."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from confsync_backends.vault.auth.options import Auth, method_names
from confsync_backends.vault.options import VaultOptions

_SECRET_ID = {"method": "approle", "role_id": "r", "secret_id_file": "s"}
_USERPASS = {"method": "userpass", "username": "u", "password_file": "p"}


def test_there_is_a_method_for_each_way_to_log_in():
    assert method_names() == ["token", "approle", "kubernetes", "jwt", "userpass", "ldap", "cert"]


def test_without_auth_it_is_a_token_from_where_vaults_own_clients_keep_it():
    assert VaultOptions().auth.method == "token"


@pytest.mark.parametrize(
    ("auth", "mount"),
    [
        (_SECRET_ID, "approle"),
        (_SECRET_ID | {"mount": "team/approle/"}, "team/approle"),
        (_SECRET_ID | {"mount": "auth/team"}, "team"),
        (_USERPASS, "userpass"),
        (_USERPASS | {"method": "ldap"}, "ldap"),
        ({"method": "kubernetes", "role": "r"}, "kubernetes"),
        ({"method": "jwt", "token_env": "T"}, "jwt"),
        ({"method": "cert"}, "cert"),
    ],
)
def test_a_method_is_mounted_at_its_name_unless_told(auth, mount):
    options = VaultOptions(auth=auth, client_cert="client.pem", client_key="client.key")
    assert options.auth.mount == mount


@pytest.mark.parametrize(
    ("auth", "teaches"),
    [
        ("token", "write for example {method: kubernetes, role: shop}"),
        ({}, "method is missing; there is token, approle"),
        ({"method": "aprole"}, "there is no auth method 'aprole'; did you mean 'approle'?"),
        ({"method": ["token"]}, "there is no auth method"),
        (
            {"method": "token", "token": "hunter2"},
            "token: a secret does not stand in the configuration; write env",
        ),
        ({"method": "token", "env": "A", "file": "b"}, "give env or file, not both"),
        ({"method": "token", "role": "r"}, "method token has no option 'role'"),
        ({"method": "approle", "role_id": "r", "secret_id": "hunter2"}, "write secret_id_file: PATH"),
        ({"method": "approle", "role_id": "r", "secret_id_fil": "s"}, "did you mean 'secret_id_file'?"),
        (_SECRET_ID | {"secret_id_env": "S"}, "give exactly one of secret_id_file, secret_id_env"),
        (_SECRET_ID | {"role_id_file": "f"}, "give exactly one of role_id, role_id_file"),
        ({"method": "approle", "secret_id_file": "s"}, "give exactly one of role_id, role_id_file"),
        ({"method": "approle", "role_id": "r"} | {"mount": "../sys"}, "is no mount path"),
        (_USERPASS | {"password": "hunter2"}, "write password_file: PATH or password_env: NAME"),
        (
            {"method": "userpass", "username": "u", "password": {"file": "hunter2"}},
            "write password_file: PATH",
        ),
        ({"method": "ldap", "username": "u"}, "give exactly one of password_file, password_env"),
        ({"method": "jwt", "role": "r"}, "give exactly one of token_file, token_env"),
        ({"method": "jwt", "token": "hunter2"}, "write token_file: PATH or token_env: NAME"),
        ({"method": "kubernetes", "role": "r", "jwt": "hunter2"}, "write token_file: PATH"),
        ({"method": "kubernetes"}, "Field required"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write_instead(auth, teaches):
    with pytest.raises(ValidationError) as caught:
        VaultOptions(auth=auth)

    assert teaches in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_schema_knows_each_methods_options():
    schema = TypeAdapter(Auth).json_schema()

    assert set(schema["discriminator"]["mapping"]) == set(method_names())
    for kind in schema["$defs"].values():
        for name, described in kind["properties"].items():
            assert name == "method" or described["description"], (kind["title"], name)
