"""Every error confsync raises on purpose. Act upon the class, never upon the text.

    ConfsyncError                    one line for the user: what failed, where, why, what to do
    ├── ConfigError                  the configuration is invalid; nothing was changed            exit 3
    ├── SourceError                  a source could not give an answer
    │   ├── Unavailable              down, slow, sealed, half-answered: worth trying again
    │   ├── Denied                   credentials missing, wrong, or not allowed this key
    │   ├── Invalid                  the store's content or our request is wrong: trying again cannot help
    │   ├── Gap                      a watch lost its place (compaction, restore): read everything again
    │   ├── Expired                  a lease is over or cannot be renewed: fetch what it was for anew
    │   ├── Held                     so much vanished at once that it is not believed
    │   └── HeldBack                 the local policy keeps it from coming down to a laptop
    ├── RenderError                  a template or data map could not be rendered
    │   ├── MissingKeys              it asked for keys that do not exist; names all of them
    │   └── LimitExceeded            it took too long or grew too large
    ├── SinkError                    a target could not be read or written
    │   └── TargetTaken              another sync writes it already
    ├── ActionError                  a check or reload failed
    ├── PlanRefused                  a saved plan no longer fits the world, or a guard holds it
    └── LedgerError                  the state directory cannot be used
        └── LedgerLocked             another confsync is at work on it

A `ConfsyncError` is shown to the user as one line (plus its hint); anything else is a bug and shows a traceback.
No message may carry a sensitive value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class ConfsyncError(Exception):
    """Base of all errors meant for the user.

    Attributes:
        message: one line: what failed, where and why.
        hint: what to do about it, or None.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(ConfsyncError):
    """The configuration is invalid. `where` is `file:line:column`, as exactly as it is known."""

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.where = where


class SourceError(ConfsyncError):
    """A source could not give an answer. `key` is the full key concerned, where there is one."""

    def __init__(self, message: str, *, key: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.key = key


class Unavailable(SourceError):
    """The store is down, slow, sealed or answered by half: worth trying again, with back-off.

    `retry_after` is set where the store itself says that it will answer soon (busy, electing, catching up): seconds
    after which to ask again, 0 where it does not say.
    """

    def __init__(
        self,
        message: str,
        *,
        key: str | None = None,
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, key=key, hint=hint)
        self.retry_after = retry_after


class Denied(SourceError):
    """Credentials are missing, wrong, or do not allow this key. Tried again, since policies change."""


class Invalid(SourceError):
    """The content or the request is wrong: the same call will fail again until somebody mends it."""


class Gap(SourceError):
    """A watch lost its place (compaction, a restored backup): everything must be read again."""


class Expired(SourceError):
    """A lease is over, or cannot be renewed: what it was for must be fetched anew."""


class Held(SourceError):
    """So many keys vanished at once that the loss is not believed until it is confirmed."""


class HeldBack(SourceError):
    """The local policy keeps a value from coming down. `rule` is the name of the rule that says so."""

    def __init__(self, message: str, *, key: str, rule: str, hint: str | None = None) -> None:
        super().__init__(message, key=key, hint=hint)
        self.rule = rule


class RenderError(ConfsyncError):
    """A template or data map could not be rendered. `where` is `template:line`, as exactly as known."""

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.where = where


@dataclass(frozen=True, slots=True)
class MissingKey:
    """One key a render asked for in vain.

    Attributes:
        source: the source's name in the configuration.
        key: the path asked for.
        where: `template:line`, or the data map's entry.
        nearest: the existing path most like it, or None.
        detail: why it is not there, where the store tells, or "".
    """

    source: str
    key: str
    where: str
    nearest: str | None
    detail: str = ""


class MissingKeys(RenderError):
    """A render asked for keys that do not exist; `missing` has all of them, in the order they were asked for."""

    def __init__(self, missing: Sequence[MissingKey]) -> None:
        self.missing = tuple(missing)
        lines = [self._line(key) for key in self.missing]
        head = "1 key is missing" if len(lines) == 1 else f"{len(lines)} keys are missing"
        super().__init__(f"{head}: " + "; ".join(lines))

    @staticmethod
    def _line(missing: MissingKey) -> str:
        near = f" (did you mean {missing.nearest!r}?)" if missing.nearest else ""
        why = f": {missing.detail}" if missing.detail else ""
        return f"{missing.where}: no key {missing.key!r} in source {missing.source!r}{why}{near}"


class LimitExceeded(RenderError):
    """A render took longer, or grew larger, than its limits allow."""


class SinkError(ConfsyncError):
    """A target could not be read or written.

    Attributes:
        target: its identity, such as `file:/etc/app.conf`.
        unanswered: whether whoever keeps the target gave no answer: who asks again waits again.
        unknown: whether what failed may have been done all the same, since no answer came.
    """

    def __init__(
        self,
        target: str,
        message: str,
        *,
        hint: str | None = None,
        unanswered: bool = False,
        unknown: bool = False,
    ) -> None:
        super().__init__(f"{target}: {message}", hint=hint)
        self.target = target
        self.unanswered = unanswered
        self.unknown = unknown


class TargetTaken(SinkError):
    """Another sync writes this target already; worth trying again, for that sync may be about to drop it."""


class NotLeading(ConfsyncError):
    """Another replica writes now; what this one was about to do is left to it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: left to the replica that leads now")


class ActionError(ConfsyncError):
    """A check or reload failed. `output` is the end of what it printed, already free of sensitive values."""

    def __init__(self, message: str, *, output: str = "", hint: str | None = None) -> None:
        super().__init__(f"{message}: {output}" if output else message, hint=hint)
        self.output = output


class PlanRefused(ConfsyncError):
    """A saved plan no longer fits the world, or a guard holds what was planned."""


class LedgerError(ConfsyncError):
    """The state directory cannot be used."""


class LedgerLocked(LedgerError):
    """Another confsync is at work on this state directory."""
