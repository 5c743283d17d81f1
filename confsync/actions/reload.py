"""Run a `reload:`, name it for people, and tell whether two are the same."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Callable
from hashlib import blake2b

from confsync.config.actions import Reload
from confsync.errors import ActionError
from confsync.text import printable


def run_reload(
    reload: Reload, *, redact: Callable[[str], str], cancelled: threading.Event | None = None
) -> None:
    """Tell a program that its configuration changed.

    Args:
        reload: how.
        redact: takes sensitive values out of a text.
        cancelled: once set, it is given up.

    Raises:
        ActionError: it failed; it is still owed.
    """
    if reload.signal is not None:
        from confsync.actions.pid_file import send_signal

        send_signal(reload.signal, reload.pid_file or "")
    elif reload.http is not None:
        from confsync.actions.request import send_request

        send_request(reload.http, timeout=reload.timeout, redact=redact, cancelled=cancelled)
    elif reload.systemd is not None:
        _systemctl(reload, reload.systemd, redact, cancelled)
    else:
        from confsync.actions.process import run

        argv = reload.command or ["/bin/sh", "-c", reload.shell or ""]
        run(
            argv,
            what="reload",
            timeout=reload.timeout,
            redact=redact,
            cancelled=cancelled,
            shown=reload.shell,
        )


def describe(reload: Reload) -> str:
    """The reload in a few words for people. Of an HTTP request only method, host and path are shown."""
    if reload.signal is not None:
        return printable(f"SIG{reload.signal.removeprefix('SIG')} to the process in {reload.pid_file}")
    if reload.http is not None:
        from confsync.actions.request import without_secrets

        return printable(f"{reload.http.method} {without_secrets(reload.http.url)}")
    if reload.systemd is not None:
        return f"systemctl reload-or-restart {reload.systemd}"
    return printable(shlex.join(reload.command) if reload.command is not None else reload.shell or "")


def identity(reload: Reload) -> str:
    """Equal for reloads that do the same, now and in later runs; `timeout` is no part of it."""
    facts = reload.model_dump(mode="json", exclude={"timeout"}, exclude_defaults=True)
    if reload.signal is not None:
        facts["signal"] = reload.signal.removeprefix("SIG")
    text = json.dumps(facts, sort_keys=True)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, person=b"reload").hexdigest()


def _systemctl(
    reload: Reload, unit: str, redact: Callable[[str], str], cancelled: threading.Event | None
) -> None:
    if unit.startswith("-"):
        raise ActionError(
            f"{unit!r} is not a unit: systemctl would take it for an option", hint="correct `systemd`"
        )
    from confsync.actions.process import run

    argv = ["systemctl", "reload-or-restart", unit]
    try:
        run(argv, what="reload", timeout=reload.timeout, redact=redact, cancelled=cancelled)
    except ActionError as exc:
        if not isinstance(exc.__cause__, FileNotFoundError):
            raise
        raise ActionError(
            f"reload of {unit} failed: there is no systemctl here, as in most containers",
            hint="reload with `command`, with `signal` and `pid_file`, or with `http`",
        ) from exc
