"""Checks, which must accept what is staged, and reloads, which tell a program that its configuration changed.

`process` runs a command that can neither hang nor flood us; `check` and `reload` say which; `pid_file` and
`request` are the other two ways to tell a program. Every failure is an `ActionError`.
"""

from __future__ import annotations

from confsync.actions.check import run_check
from confsync.actions.reload import describe, identity, run_reload

__all__ = ["describe", "identity", "run_check", "run_reload"]
