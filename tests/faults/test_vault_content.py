"""What a secret's path can lead to but a value."""

from __future__ import annotations

from stand_ins.vaulted import text

# Sync -> what is said of it.
SAID = {
    "field": ("no key 'field#password'", "the secret has no field 'password'", "did you mean 'passwort'?"),
    "deleted": ("no key 'deleted'", "version 1 was deleted on 20"),
    "destroyed": ("no key 'destroyed'", "version 1 was destroyed"),
    "gone": ("no key 'gone'", "there is no secret"),
    "version": ("no key 'good?version=7'", "there is no version 7 (the latest is 1)"),
    "mount": ("reading nomount/db", "no mount there", "mounts: {nomount: {type: kv, version: 2}}"),
    "denied": ("reading", "denied", "do not allow read", 'capabilities = ["read"]'),
}


def ruin(vaulted):
    kv, must = vaulted.kv, vaulted.admin.must
    vaulted.put("field", passwort="s3cr3t-pw")
    must("DELETE", f"{kv}/data/deleted")
    must("PUT", f"{kv}/destroy/destroyed", {"versions": [1]})
    must("DELETE", f"{kv}/metadata/gone")
    policy = f"""
        path "{kv}/*" {{ capabilities = ["read", "list"] }}
        path "{kv}/data/denied" {{ capabilities = ["deny"] }}
        path "{kv}/metadata/denied" {{ capabilities = ["deny"] }}
    """
    return vaulted.token(vaulted.admin.token([vaulted.admin.policy("less", policy)]))


def syncs(**other):
    paths = {name: name for name in ("good", *SAID)} | {"version": "good", "mount": "good"} | other
    return {name: text(f"{{{{ vault('{path}').password }}}}", name) for name, path in paths.items()}


def test_what_is_wrong_with_a_secret_is_told_apart_and_no_target_changes(vaulted):
    for name in ("good", *SAID):
        vaulted.put(name, password="s3cr3t-pw")
    vaulted.configure(syncs())
    first = vaulted.confsync("apply")
    assert first.returncode == 0, first.stderr
    before = {name: vaulted.age(name) for name in syncs()}

    vaulted.configure(syncs(version="good?version=7", mount="/nomount/db"), auth=ruin(vaulted))
    second = vaulted.confsync("apply")

    assert second.returncode == 1
    for sync, said in SAID.items():
        line = next(line for line in second.stderr.splitlines() if f"sync {sync!r}" in line)
        for words in said:
            assert words in line
        assert f"did you mean {sync!r}" not in line
    assert "'good' is" not in second.stderr
    assert "s3cr3t" not in second.stderr
    assert {name: vaulted.age(name) for name in syncs()} == before
