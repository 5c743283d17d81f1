"""What the stand-in does beyond the recordings. A real Vault passes these as well: that is how they are checked."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from confsync.testing.waiting import eventually

from .admin import VaultAdmin
from .fixtures import Vault, vault, vault_server
from .identities import JwtIssuer

__all__ = ["vault", "vault_server"]

DENIED = {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}


def as_(token: str) -> dict[str, str]:
    return {"X-Vault-Token": token}


NOBODY = as_("")


def login(vault: Vault, mount: str, body: dict[str, Any], user: str = "") -> tuple[int, Any]:
    return vault.admin.call("POST", f"auth/{mount}/login{user and '/'}{user}", body, NOBODY)


def lease_errors(vault: Vault, lease: str) -> list[str] | None:
    """Why the lease cannot be looked up; None when it can."""
    _, body = vault.admin.call("PUT", "sys/leases/lookup", {"lease_id": lease})
    errors: list[str] | None = body.get("errors")
    return errors


def reader(vault: Vault, hcl: str, **fields: Any) -> dict[str, str]:
    """Headers of a token with this one policy."""
    return as_(vault.admin.token([vault.admin.policy("reader", hcl)], **fields))


def test_clean_up_leaves_nothing(vault: Vault) -> None:
    admin = VaultAdmin(vault.address, vault.token)
    kv = admin.mount_kv()
    token = admin.token([admin.policy("some", f'path "{kv}/*" {{ capabilities = ["read"] }}')])
    admin.userpass([])

    admin.clean_up()

    for path in ("sys/mounts", "sys/auth", "sys/policy"):
        assert admin.unique not in str(admin.must("GET", path)["data"])
    assert admin.call("GET", "auth/token/lookup-self", headers=as_(token))[0] == 403


def test_versions_are_kept_up_to_the_limit(vault: Vault) -> None:
    kv = vault.admin.mount_kv()
    vault.admin.must("POST", f"{kv}/metadata/a", {"max_versions": 2})

    versions = [vault.admin.put(kv, "a", {"n": number}) for number in range(3)]

    assert versions == [1, 2, 3]
    assert vault.admin.call("GET", f"{kv}/data/a?version=1")[0] == 404
    assert vault.admin.must("GET", f"{kv}/data/a?version=2")["data"]["data"] == {"n": 1}
    metadata = vault.admin.must("GET", f"{kv}/metadata/a")["data"]
    assert (3, {"2", "3"}) == (metadata["current_version"], set(metadata["versions"]))


def test_a_deleted_version_comes_back_by_undelete(vault: Vault) -> None:
    kv = vault.admin.mount_kv()
    vault.admin.put(kv, "a", {"n": 1})
    vault.admin.must("POST", f"{kv}/delete/a", {"versions": [1]})

    assert vault.admin.call("GET", f"{kv}/data/a")[0] == 404

    vault.admin.must("POST", f"{kv}/undelete/a", {"versions": [1]})

    assert vault.admin.must("GET", f"{kv}/data/a")["data"]["data"] == {"n": 1}


def test_metadata_deleted_leaves_nothing(vault: Vault) -> None:
    kv = vault.admin.mount_kv()
    vault.admin.put(kv, "a/b", {"n": 1})

    vault.admin.must("DELETE", f"{kv}/metadata/a/b")

    assert vault.admin.call("GET", f"{kv}/metadata/a/b")[0] == 404
    assert vault.admin.call("LIST", f"{kv}/metadata/a")[0] == 404


def test_check_and_set_may_be_required(vault: Vault) -> None:
    kv = vault.admin.mount_kv()
    vault.admin.must("POST", f"{kv}/config", {"cas_required": True})

    refused = vault.admin.call("POST", f"{kv}/data/a", {"data": {}})
    granted = vault.admin.call("POST", f"{kv}/data/a", {"data": {}, "options": {"cas": 0}})

    assert refused == (400, {"errors": ["check-and-set parameter required for this call"]})
    assert granted[0] == 200


def test_a_list_of_data_is_no_operation(vault: Vault) -> None:
    kv = vault.admin.mount_kv()

    assert vault.admin.call("LIST", f"{kv}/data/a")[0] == 405


@pytest.mark.parametrize(
    ("rule", "path", "allowed"),
    [
        ("KV/data/a", "a", True),
        ("KV/data/a", "ab", False),
        ("KV/data/a*", "ab", True),
        ("KV/data/a/*", "a", False),
        ("KV/data/+/b", "a/b", True),
        ("KV/data/+/b", "a/c/b", False),
        ("KV/data/+/b/*", "a/b/c", True),
        ("*", "a", True),
    ],
)
def test_globs_of_a_policy(vault: Vault, rule: str, path: str, allowed: bool) -> None:
    kv = vault.admin.mount_kv()
    vault.admin.put(kv, path, {"n": 1})
    who = reader(vault, f'path "{rule.replace("KV", kv)}" {{ capabilities = ["read"] }}')

    status, body = vault.admin.call("GET", f"{kv}/data/{path}", headers=who)

    assert ((200, None) if allowed else (403, DENIED)) == (status, None if status == 200 else body)


def test_the_longest_rule_counts_and_deny_wins(vault: Vault) -> None:
    kv = vault.admin.mount_kv()
    for path in ("a/b", "a/c/d"):
        vault.admin.put(kv, path, {"n": 1})
    who = reader(
        vault,
        f"""
        # all, but not below c
        path "{kv}/data/*" {{ capabilities = ["read"] }}
        path "{kv}/data/a/c/*" {{ capabilities = ["read", "deny"] }}
        """,
    )

    assert vault.admin.call("GET", f"{kv}/data/a/b", headers=who)[0] == 200
    assert vault.admin.call("GET", f"{kv}/data/a/c/d", headers=who)[0] == 403


def test_the_rule_whose_first_wildcard_comes_last_counts(vault: Vault) -> None:
    kv = vault.admin.mount_kv()
    vault.admin.put(kv, "a/b", {"n": 1})
    who = reader(
        vault,
        f"""
        path "{kv}/data/+/b" {{ capabilities = ["deny"] }}
        path "{kv}/data/a/*" {{ capabilities = ["read"] }}
        """,
    )

    assert vault.admin.call("GET", f"{kv}/data/a/b", headers=who)[0] == 200


def test_create_and_update_are_two_capabilities(vault: Vault) -> None:
    kv = vault.admin.mount_kv()
    who = reader(vault, f'path "{kv}/data/*" {{ capabilities = ["create"] }}')

    first = vault.admin.call("POST", f"{kv}/data/a", {"data": {}}, who)
    second = vault.admin.call("POST", f"{kv}/data/a", {"data": {}}, who)

    assert (first[0], second[0]) == (200, 403)


def test_a_mount_is_seen_by_those_who_may_read_in_it(vault: Vault) -> None:
    mine, other = vault.admin.mount_kv(), vault.admin.mount_kv()
    who = reader(vault, f'path "{mine}/data/a/b/*" {{ capabilities = ["read"] }}')

    seen = vault.admin.call("GET", f"sys/internal/ui/mounts/{mine}/x", headers=who)
    hidden = vault.admin.call("GET", f"sys/internal/ui/mounts/{other}/x", headers=who)

    assert (seen[0], seen[1]["data"]["options"]["version"]) == (200, "2")
    assert hidden[0] == 403
    assert "preflight capability check returned 403" in hidden[1]["errors"][0]


def test_a_policy_nobody_can_read_is_refused(vault: Vault) -> None:
    status, body = vault.admin.call(
        "PUT", f"sys/policies/acl/{vault.admin.name('bad')}", {"policy": 'path "x" {'}
    )

    assert status == 400
    assert body["errors"][0].startswith("failed to parse policy")


def test_children_end_with_their_parent(vault: Vault) -> None:
    hcl = 'path "auth/token/create" { capabilities = ["update"] }'
    parent = reader(vault, hcl)
    child = vault.admin.must("POST", "auth/token/create", {"ttl": "1h"}, parent)["auth"]["client_token"]

    vault.admin.must("POST", "auth/token/revoke-self", {}, parent)

    assert vault.admin.call("GET", "auth/token/lookup-self", headers=as_(child))[0] == 403


def test_a_child_cannot_have_more_than_its_parent(vault: Vault) -> None:
    parent = reader(vault, 'path "auth/token/create" { capabilities = ["update"] }')
    more = vault.admin.policy("more", 'path "*" { capabilities = ["read"] }')

    answer = vault.admin.call("POST", "auth/token/create", {"policies": [more]}, parent)

    assert answer == (400, {"errors": ["child policies must be subset of parent"]})


def test_a_token_of_few_uses(vault: Vault) -> None:
    who = as_(vault.admin.token(["default"], num_uses=2))

    statuses = [vault.admin.call("GET", "auth/token/lookup-self", headers=who)[0] for _ in range(3)]

    assert statuses == [200, 200, 403]


def test_a_periodic_token_is_renewed_to_its_period(vault: Vault) -> None:
    who = as_(vault.admin.token(["default"], period="10m"))

    auth = vault.admin.must("POST", "auth/token/renew-self", {"increment": "5h"}, who)["auth"]

    assert auth["lease_duration"] == 600


def test_a_batch_token_is_neither_renewed_nor_revoked(vault: Vault) -> None:
    approle = vault.admin.approle([], token_type="batch", token_ttl="5m")
    body = {"role_id": approle.role_id, "secret_id": approle.secret_id}
    auth = login(vault, approle.mount, body)[1]["auth"]

    renewed = vault.admin.call("POST", "auth/token/renew-self", {}, as_(auth["client_token"]))
    revoked = vault.admin.call("POST", "auth/token/revoke-self", {}, as_(auth["client_token"]))
    alive = vault.admin.must("GET", "auth/token/lookup-self", headers=as_(auth["client_token"]))["data"]

    assert (auth["token_type"], auth["renewable"], auth["lease_duration"], auth["accessor"]) == (
        "batch",
        False,
        300,
        "",
    )
    assert (renewed[0], revoked[0], alive["type"]) == (400, 400, "batch")


def test_a_batch_tokens_leases_end_with_it(vault: Vault) -> None:
    mount, role = vault.admin.database("1h", "2h")
    token = vault.admin.token(
        [vault.admin.policy("db", f'path "{mount}/creds/*" {{ capabilities = ["read"] }}')],
        ttl="5m",
        type="batch",
    )

    answer = vault.admin.must("GET", f"{mount}/creds/{role}", headers=as_(token))
    renewed = vault.admin.call("PUT", "sys/leases/renew", {"lease_id": answer["lease_id"]}, as_(token))

    assert answer["lease_duration"] <= 300
    assert (renewed[0], renewed[1]["errors"]) == (400, ["lease is not renewable"])


def test_credentials_end_with_the_token_that_made_them(vault: Vault) -> None:
    mount, role = vault.admin.database("1h", "2h")
    token = vault.admin.token(
        [vault.admin.policy("db", f'path "{mount}/creds/*" {{ capabilities = ["read"] }}')]
    )
    lease = vault.admin.must("GET", f"{mount}/creds/{role}", headers=as_(token))["lease_id"]

    vault.admin.must("POST", "auth/token/revoke", {"token": token})

    gone = eventually(lambda: lease_errors(vault, lease))  # a real server does it soon, not at once
    assert gone == ["invalid lease"]


def test_leases_of_a_prefix_end_together(vault: Vault) -> None:
    mount, role = vault.admin.database("1h", "2h")
    leases = [vault.admin.must("GET", f"{mount}/creds/{role}")["lease_id"] for _ in range(2)]

    vault.admin.must("PUT", f"sys/leases/revoke-prefix/{mount}")

    assert eventually(lambda: all(lease_errors(vault, one) for one in leases))


def test_a_login_is_wrapped_and_opened_once(vault: Vault) -> None:
    approle = vault.admin.approle([])
    body = {"role_id": approle.role_id, "secret_id": approle.secret_id}
    headers = {"X-Vault-Token": "", "X-Vault-Wrap-TTL": "60s"}
    info = vault.admin.must("POST", f"auth/{approle.mount}/login", body, headers)["wrap_info"]

    looked_up = vault.admin.must("POST", "sys/wrapping/lookup", {"token": info["token"]}, NOBODY)["data"]
    opened = vault.admin.must("POST", "sys/wrapping/unwrap", {"token": info["token"]})
    again = vault.admin.call("POST", "sys/wrapping/unwrap", {"token": info["token"]})

    assert (f"auth/{approle.mount}/login", 60) == (looked_up["creation_path"], looked_up["creation_ttl"])
    assert info["wrapped_accessor"] == opened["auth"]["accessor"]
    assert again == (400, {"errors": ["wrapping token is not valid or does not exist"]})


def test_a_wrapping_token_opens_nothing_else(vault: Vault) -> None:
    kv = vault.admin.mount_kv()
    vault.admin.put(kv, "a", {"n": 1})
    wrapped = vault.admin.must("GET", f"{kv}/data/a", headers={"X-Vault-Wrap-TTL": "60s"})["wrap_info"][
        "token"
    ]

    assert vault.admin.call("GET", f"{kv}/data/a", headers=as_(wrapped)) == (403, DENIED)


def test_userpass_logs_in(vault: Vault) -> None:
    user = vault.admin.userpass([], token_ttl="5m")

    status, body = login(vault, user.mount, {"password": user.password}, user.username)

    assert (status, body["auth"]["lease_duration"]) == (200, 300)


def test_jwt_logs_in_with_a_signed_token_for_the_right_audience(vault: Vault) -> None:
    issuer = JwtIssuer()
    mount, role = vault.admin.jwt([], issuer)

    good = login(vault, mount, {"role": role, "jwt": issuer.token(aud="vault", sub="shop")})
    elsewhere = login(vault, mount, {"role": role, "jwt": issuer.token(aud="other", sub="shop")})
    forged = login(vault, mount, {"role": role, "jwt": JwtIssuer().token(aud="vault", sub="shop")})
    expired = login(vault, mount, {"role": role, "jwt": issuer.token(-7200, aud="vault", sub="shop")})
    unknown = login(vault, mount, {"role": "none", "jwt": issuer.token(aud="vault", sub="shop")})

    assert (good[0], good[1]["auth"]["metadata"]) == (200, {"role": "app"})
    assert [elsewhere[0], forged[0], expired[0], unknown[0]] == [400] * 4
    assert unknown[1]["errors"] == ['role "none" could not be found']
    assert expired[1]["errors"][0].startswith("error validating token: ")


def test_a_certificate_is_refused_for_names_of_others(vault: Vault) -> None:
    mount, role = vault.admin.pki("example.test")

    body = {"common_name": "a.example.test", "alt_names": "x.y"}
    status, answer = vault.admin.call("POST", f"{mount}/issue/{role}", body)

    assert (status, answer["errors"]) == (400, ["subject alternate name x.y not allowed by this role"])


def test_a_batch_tells_which_item_cannot_be_decrypted(vault: Vault) -> None:
    mount = vault.admin.transit("app")
    good = vault.admin.encrypt(mount, "app", "hello")

    body = {"batch_input": [{"ciphertext": good}, {"ciphertext": "none"}]}
    status, answer = vault.admin.call("POST", f"{mount}/decrypt/app", body)

    assert status in (200, 400)  # 400 since 1.12
    first, second = answer["data"]["batch_results"]
    assert base64.b64decode(first["plaintext"]) == b"hello"
    assert second["error"] == "invalid ciphertext: no prefix"


def test_a_batch_is_encrypted_in_order(vault: Vault) -> None:
    mount = vault.admin.transit("app")
    plain = [base64.b64encode(text).decode() for text in (b"one", b"two")]

    encrypted = vault.admin.must(
        "POST", f"{mount}/encrypt/app", {"batch_input": [{"plaintext": p} for p in plain]}
    )
    batch = [{"ciphertext": item["ciphertext"]} for item in encrypted["data"]["batch_results"]]
    decrypted = vault.admin.must("POST", f"{mount}/decrypt/app", {"batch_input": batch})

    assert plain == [item["plaintext"] for item in decrypted["data"]["batch_results"]]


def test_what_was_encrypted_too_long_ago_stays_so(vault: Vault) -> None:
    mount = vault.admin.transit("app")
    old = vault.admin.encrypt(mount, "app", "hello")
    vault.admin.must("POST", f"{mount}/keys/app/rotate", {})
    new = vault.admin.encrypt(mount, "app", "hello")
    vault.admin.must("POST", f"{mount}/keys/app/config", {"min_decryption_version": 2})

    refused = vault.admin.call("POST", f"{mount}/decrypt/app", {"ciphertext": old})

    assert new.startswith("vault:v2:")
    assert (
        refused[0],
        refused[1]["errors"],
    ) == (400, ["ciphertext or signature version is disallowed by policy (too old)"])


def test_a_changed_ciphertext_is_not_decrypted(vault: Vault) -> None:
    mount = vault.admin.transit("app")
    raw = bytearray(base64.b64decode(vault.admin.encrypt(mount, "app", "hello").split(":")[2]))
    raw[-1] ^= 1

    body = {"ciphertext": f"vault:v1:{base64.b64encode(raw).decode()}"}
    status, _ = vault.admin.call("POST", f"{mount}/decrypt/app", body)

    assert status in (400, 500)


def test_namespaces_are_worlds_of_their_own(vault: Vault) -> None:
    team = vault.admin.namespace("team")
    kv = team.mount_kv()
    team.put(kv, "a", {"n": 1})
    token = team.token([team.policy("reader", f'path "{kv}/data/*" {{ capabilities = ["read"] }}')])

    inside = team.call("GET", f"{kv}/data/a", headers=as_(token))
    by_path = vault.admin.call("GET", f"{team.namespace_path}/{kv}/data/a", headers=as_(token))
    outside = vault.admin.call("GET", f"{kv}/data/a", headers=as_(token))
    unknown = vault.admin.call("GET", f"{kv}/data/a", headers={"X-Vault-Namespace": "nobody"})

    assert [inside[0], by_path[0], outside[0], unknown[0]] == [200, 200, 403, 404]


def test_paths_that_climb_are_sent_elsewhere(vault: Vault) -> None:
    status, _ = vault.admin.call("GET", "secret/data/../../sys/mounts")

    assert status in (301, 307)  # as the Go it was built with


def test_certificates_of_a_real_authority(vault: Vault) -> None:
    mount, role = vault.admin.pki("example.test")

    body = {"common_name": "a.example.test", "alt_names": "b.example.test", "ttl": "1h"}
    answer = vault.admin.must("POST", f"{mount}/issue/{role}", body)
    data = answer["data"]

    leaf = x509.load_pem_x509_certificate(data["certificate"].encode())
    key = load_pem_private_key(data["private_key"].encode(), None)
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(data["issuing_ca"].encode()))
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() == leaf.public_key()
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"a.example.test", "b.example.test"} == set(names.get_values_for_type(x509.DNSName))
    assert pytest.approx(answer["lease_duration"], abs=2) == 3600
