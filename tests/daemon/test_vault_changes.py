"""What changes in Vault is in the files within the interval; what did not change costs next to nothing."""

from __future__ import annotations

import stat
from time import monotonic

from stand_ins.vaulted import text

from confsync.testing.waiting import eventually

SYNCS, PATHS = 1000, 50


def test_a_new_version_is_in_the_file_within_the_interval_and_only_its_readers_are_rendered(vaulted):
    for path in ("db", "api"):
        vaulted.put(path, password=f"{path} 1")
    vaulted.configure({
        "one": text("{{ vault('db').password }}", "one"),
        "two": text("{{ vault('db#password') }} {{ values('host') }}", "two"),
        "three": text("{{ vault('api').password }}", "three"),
        "four": text("{{ values('host') }}", "four"),
    })  # fmt: skip
    with vaulted.daemon() as daemon:
        for name, content in {"one": "db 1", "two": "db 1 db1", "three": "api 1", "four": "db1"}.items():
            vaulted.wait_content(name, content)
        before = {name: vaulted.age(name) for name in ("three", "four")}

        vaulted.put("db", password="db 2")

        vaulted.wait_content("one", "db 2")
        vaulted.wait_content("two", "db 2 db1")
        updated = daemon.wait_log("target updated", sync="one")
        assert f"vault:{vaulted.kv}/db changed (revision 1 → 2)" in updated.facts["why"]
        vaulted.values({"host": "db2"})
        vaulted.wait_content("two", "db 2 db2")
        vaulted.wait_content("four", "db2")
        assert vaulted.age("three") == before["three"]
        assert stat.S_IMODE((vaulted.out / "two").stat().st_mode) == 0o600
        assert stat.S_IMODE((vaulted.out / "four").stat().st_mode) == 0o644


def test_a_policy_granted_later_mends_the_denied_sync_by_itself(vaulted):
    for path in ("db", "api"):
        vaulted.put(path, password=path)
    name = vaulted.admin.policy("less", f'path "{vaulted.kv}/data/db" {{ capabilities = ["read"] }}')
    vaulted.configure(
        {path: text(f"{{{{ vault('{path}').password }}}}", path) for path in ("db", "api")},
        auth=vaulted.approle(login=vaulted.admin.approle([name])),
        mounts={vaulted.kv: {"type": "kv", "version": 2}},
    )
    with vaulted.daemon():
        vaulted.wait_content("db", "db")
        line = f'path "{vaulted.kv}/data/api" {{ capabilities = ["read"] }}'
        vaulted.wait_state("api", "failed", detail=line)

        more = f'path "{vaulted.kv}/*" {{ capabilities = ["read"] }}'
        vaulted.admin.must("PUT", f"sys/policies/acl/{name}", {"policy": more})

        vaulted.wait_content("api", "api")
        vaulted.wait_state("api", "ok")


def written(vaulted):
    """When each target, and the ledger, was written."""
    files = [*vaulted.out.iterdir(), *vaulted.state.glob("ledger.db*")]
    return {path.name: path.stat().st_mtime_ns for path in files if not path.name.endswith("-shm")}


def whole(count, seen):
    """How many calls there were once all paths have been looked at, and not some more than others."""
    return count if count > seen and count % PATHS == 0 else None


def test_a_thousand_syncs_on_fifty_secrets_are_fifty_reads_and_one_login(vaulted, vault_server):
    """And looking again at an unchanged world is fifty calls for metadata, and writes nothing."""
    for number in range(PATHS):
        vaulted.put(f"db{number}", password=f"pw{number}")
    auth = vaulted.approle()
    vaulted.config(
        sources={"vault": vaulted.source(auth)},
        environments={"prod": {"vault": vaulted.kv}},
        defaults={"environment": "prod", "interval": "5s"},
        syncs={
            f"s{number}": text(f"{{{{ vault('db{number % PATHS}').password }}}}", f"s{number}")
            for number in range(SYNCS)
        },
    )
    vault_server.forget_requests()
    with vaulted.daemon():
        eventually(lambda: [one.state for one in vaulted.syncs().values()] == ["ok"] * SYNCS, 120)
        data, metadata = f"{vaulted.kv}/data", f"{vaulted.kv}/metadata"

        assert vault_server.count("GET", data) == PATHS
        assert vault_server.count("POST", f"auth/{auth['mount']}/login") == 1
        before = written(vaulted)
        seen, began = vault_server.count("GET", metadata), monotonic()
        calls = eventually(lambda: whole(vault_server.count("GET", metadata), seen))
        assert calls - seen <= PATHS * (1 + (monotonic() - began) / 4), "one for each path and interval"

        assert vault_server.count("GET", data) == PATHS
        assert vault_server.count("POST", f"auth/{auth['mount']}/login") == 1
        assert written(vaulted) == before
        assert {vaulted.read(f"s{number}") for number in range(SYNCS)} == {f"pw{n}" for n in range(PATHS)}
