"""Vault beside other sources: in one template, one data map, one listing what another knows; ciphertexts in a file."""

from __future__ import annotations

import json

from stand_ins.vaulted import text

from confsync.testing.waiting import eventually


def test_etcd_and_vault_in_one_template_each_bring_their_changes(vaulted, etcd):
    vaulted.put("db", password="pw1", port=5432)
    for shop in ("berlin", "paris"):
        vaulted.put(f"shops/{shop}", password=f"pw-{shop}")
        etcd.put(f"/prod/shops/{shop}/host", f"{shop}.example")
    etcd.put("/prod/host", "db1")
    data = {"HOST": "etcd:host", "PORT": "vault:db#port", "PASSWORD": "vault:db#password"}
    by_etcd = text(
        "{{ vault('shops/' ~ each.key).password }}", "e-{{ each.key }}", for_each="etcd.dirs('shops')"
    )
    by_vault = text(
        "{{ etcd('shops/' ~ each.key ~ '/host') }}", "v-{{ each.key }}", for_each="vault.children('shops')"
    )
    vaulted.configure(
        {
            "both": text("{{ etcd('host') }}:{{ vault('db').port + 1 }} {{ vault('db').password }}", "both"),
            "data": {"data": data, "to": "out/data.json"},
            "by-etcd": by_etcd,
            "by-vault": by_vault,
        },
        sources={"etcd": {"backend": "etcd", "endpoints": etcd.endpoints, "sensitive": False}},
        prod={"etcd": "/prod"},
        auth=vaulted.approle(),
    )
    with vaulted.daemon():
        vaulted.wait_content("both", "db1:5433 pw1")
        for shop in ("berlin", "paris"):
            vaulted.wait_content(f"e-{shop}", f"pw-{shop}")
            vaulted.wait_content(f"v-{shop}", f"{shop}.example")
        written = json.loads(eventually(lambda: vaulted.read("data.json")))
        assert written == {"HOST": "db1", "PORT": 5432, "PASSWORD": "pw1"}

        etcd.put("/prod/host", "db2")
        vaulted.put("db", password="pw2", port=5432)
        vaulted.put("shops/paris", password="pw-new")
        vaulted.put("shops/rome", password="pw-rome")
        etcd.put("/prod/shops/rome/host", "rome.example")

        vaulted.wait_content("both", "db2:5433 pw2")
        vaulted.wait_content("e-paris", "pw-new")
        vaulted.wait_content("e-rome", "pw-rome")
        vaulted.wait_content("v-rome", "rome.example")
        for sync in ("both", "data", "by-etcd", "by-vault"):
            vaulted.wait_state(sync, "ok")


def secrets(count):
    return {f"key{number}": f"plain text {number}" for number in range(count)}


def test_ciphertexts_in_a_file_are_plain_text_in_the_target_and_a_changed_one_is_rendered(vaulted):
    mount = vaulted.admin.transit("app")
    encrypted = {name: vaulted.admin.encrypt(mount, "app", plain) for name, plain in secrets(2).items()}
    read = f"{{{{ vault.decrypt('{mount}/app', values('%s')) }}}}"
    vaulted.values(encrypted)
    vaulted.configure(
        {"app": text(read % "key0", "app"), "other": text(read % "key1", "other")},
        auth=vaulted.approle(f'path "{mount}/decrypt/app" {{ capabilities = ["update"] }}'),
    )
    with vaulted.daemon():
        vaulted.wait_content("app", "plain text 0")
        vaulted.wait_content("other", "plain text 1")
        before = vaulted.age("other")

        vaulted.values({**encrypted, "key0": vaulted.admin.encrypt(mount, "app", "changed")})
        vaulted.wait_content("app", "changed")
        vaulted.wait_state("app", "ok")

        broken = encrypted["key0"][:-8] + "AAAAAAA="
        vaulted.values({**encrypted, "key0": broken})
        record = vaulted.wait_state("app", "failed", detail=f"vault.decrypt('{mount}/app', …)")
        assert "syncs.app.template:1" in record.detail
        assert broken not in record.detail
        vaulted.values({**encrypted, "key0": "correct horse"})
        record = vaulted.wait_state("app", "failed", detail="is no ciphertext, which begins with vault:v1:")
        assert "horse" not in record.detail
        assert vaulted.read("app") == "changed"

        vaulted.values(encrypted)
        vaulted.wait_content("app", "plain text 0")
        assert vaulted.age("other") == before


def test_a_hundred_ciphertexts_are_one_call(vaulted):
    mount, plain = vaulted.admin.transit("app"), secrets(100)
    vaulted.values({"db": {name: vaulted.admin.encrypt(mount, "app", text) for name, text in plain.items()}})
    each = f"{{{{ name }}}}={{{{ vault.decrypt('{mount}/app', value) }}}}\n"
    vaulted.configure(
        {"app": text(f"{{% for name, value in values.children('db') %}}{each}{{% endfor %}}", "app")}
    )

    done = vaulted.confsync("apply")

    assert done.returncode == 0, done.stderr
    written = dict(line.split("=") for line in vaulted.read("app").split("\n") if line)
    assert written == plain
    if vaulted.server is not None:
        assert vaulted.server.count("POST", f"{mount}/decrypt") == 1
    assert (vaulted.out / "app").stat().st_mode & 0o777 == 0o600
