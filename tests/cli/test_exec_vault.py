"""`confsync exec` and Vault: leases live as long as the command, and logins no longer; a person's token is theirs."""

from __future__ import annotations

import signal
import sys

from stand_ins.executed import vault as vault
from stand_ins.executed import vault_execs as vault_execs
from stand_ins.executed import vault_server as vault_server
from stand_ins.vaulted import text

from confsync.testing.waiting import eventually

WAITS = "trap 'exit 0' TERM; cat {files}/db/db; echo; while :; do sleep 0.02; done"
TOLD = (
    "import os, signal\n"
    "path = os.environ['CONFSYNC_FILES'] + '/db/db'\n"
    "def tell(): print(open(path).read(), flush=True)\n"
    "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])\n"
    "tell()\n"
    "while signal.sigwait([signal.SIGHUP]): tell()\n"
)


def database(execs, default, most):
    """A sync with a credential of a database, that lasts so long, and how to log in for it."""
    mount, role = execs.admin.database(default, most)
    path = f"{mount}/creds/{role}"
    credential = f"{{% set db = vault('/{path}') %}}{{{{ db.username }}}}"
    auth = execs.approle(f'path "{path}" {{ capabilities = ["read"] }}')
    execs.configure({"db": text(credential, "db")}, auth=auth, interval="1h")
    return path, auth


def test_secrets_become_variables_and_the_login_is_gone_before_the_command_ends(vault_execs):
    vault_execs.put("db", password="from vault", user="app")
    auth = vault_execs.approle()
    vault_execs.configure({}, auth=auth)
    script = "echo $DB_PASSWORD $DB_USER; read line"

    with vault_execs.start("prod", "--", "sh", "-c", script, stdin=-1) as running:
        assert running.line() == "from vault app"
        eventually(lambda: vault_execs.logins(auth) == 0)
        running.process.stdin.close()
        running.end()


def test_what_is_on_lease_lives_as_long_as_the_command_and_the_login_ends_with_it(vault_execs):
    path, auth = database(vault_execs, "2s", "60s")
    with vault_execs.start("prod", "--only-syncs", "--sync", "db", "--", "sh", "-c", WAITS) as running:
        assert running.line()
        eventually(lambda: [lease for lease in vault_execs.leases(path) if vault_execs.renewal(lease)])
        assert vault_execs.logins(auth) == 1
        running.signal(signal.SIGTERM)

        assert running.end() == 0
    eventually(lambda: vault_execs.logins(auth) == 0)  # a Vault that is slow has been told, at the least
    assert vault_execs.leases(path) == []


def test_a_credential_that_is_replaced_reaches_a_command_that_is_watched(vault_execs):
    database(vault_execs, "2s", "3s")
    with vault_execs.start(
        "prod", "--sync", "db", "--watch", "--on-change", "HUP", "--", sys.executable, "-c", TOLD
    ) as running:
        seen = set()
        while len(seen) < 3:
            seen.add(running.line())  # which may be one of before: it is told twice of what it looks at late


def test_without_watch_a_credential_that_is_replaced_is_told_of(vault_execs):
    database(vault_execs, "2s", "3s")
    with vault_execs.start("prod", "--sync", "db", "--", "sh", "-c", WAITS) as running:
        running.line()
        running.wait_error("values changed; the command goes on with the old ones")


def test_a_persons_token_is_used_is_not_revoked_and_is_not_given_to_the_command(vault_execs):
    vault_execs.put("db", password="from vault")
    token = vault_execs.admin.token(
        [vault_execs.admin.policy("me", f'path "{vault_execs.kv}/*" {{ capabilities = ["read", "list"] }}')]
    )
    vault_execs.configure({}, auth={"method": "approle", "role_id": "r", "secret_id_file": "none"})

    done = vault_execs.run(
        "prod", "--", "sh", "-c", 'echo "$DB_PASSWORD ${VAULT_TOKEN-none}"', env={"VAULT_TOKEN": token}
    )

    assert done.stdout == "from vault none\n", done.stderr
    assert vault_execs.admin.must("POST", "auth/token/lookup", {"token": token})


def test_a_changed_secret_restarts_the_command(vault_execs):
    vault_execs.put("db", password="one")
    vault_execs.configure({}, auth=vault_execs.approle(), interval="200ms")
    script = "echo $DB_PASSWORD; trap 'exit 0' TERM; while :; do sleep 0.02; done"
    with vault_execs.start("prod", "--watch", "--", "sh", "-c", script) as running:
        assert running.line() == "one"
        vault_execs.put("db", password="two")
        assert running.line() == "two"


def test_a_new_secret_is_a_new_variable(vault_execs):
    vault_execs.put("db", password="one")
    vault_execs.configure({}, auth=vault_execs.approle(), interval="200ms")
    script = "echo ${OTHER_KEY-none}; trap 'exit 0' TERM; while :; do sleep 0.02; done"
    with vault_execs.start("prod", "--watch", "--", "sh", "-c", script) as running:
        assert running.line() == "none"
        vault_execs.put("other", key="here")
        assert running.line() == "here"
