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
    │   ├── Unwritable               a format cannot hold a name or a value
    │   ├── MissingKeys              it asked for keys that do not exist; names all of them
    │   ├── WrongValues              it read values that are not what `keys` says of them; names all of them
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
from dataclasses import dataclass, replace


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

    def __init__(
        self, message: str, *, key: str | None = None, rule: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, key=key, hint=hint)
        self.rule = rule


class RenderError(ConfsyncError):
    """A template or data map could not be rendered. `where` is `template:line`, as exactly as known."""

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.where = where


class Unwritable(RenderError):
    """A format cannot hold a name or a value.

    Attributes:
        key: the name.
        problem: the format's rule; holds nothing of the value.
    """

    def __init__(self, message: str, *, key: str, problem: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.key = key
        self.problem = problem


@dataclass(frozen=True, slots=True)
class MissingKey:
    """One key a render asked for in vain.

    Attributes:
        source: the source's name in the configuration.
        key: the path asked for.
        where: `template:line`, or the data map's entry.
        nearest: the existing path most like it, or None.
        detail: why it is not there, where the store tells, or "".
        required: whether the configuration demands it, so that nothing stands in for it.
        ask: whom to ask of it, and what it is, where the configuration says so, or "".
    """

    source: str
    key: str
    where: str
    nearest: str | None
    detail: str = ""
    required: bool = False
    ask: str = ""

    def documented(self, *, required: bool, ask: str) -> MissingKey:
        """The same, with what the configuration says of it."""
        return replace(self, required=required, ask=ask)

    def __str__(self) -> str:
        demanded = ", which is required" if self.required else ""
        why = f": {self.detail}" if self.detail else ""
        near = f"did you mean {self.nearest!r}?" if self.nearest else ""
        hint = " ".join(filter(None, (near, self.ask)))
        text = f"no key {self.key!r} in source {self.source!r}{demanded}{why}{f' ({hint})' if hint else ''}"
        return f"{self.where}: {text}" if self.where else text


@dataclass(frozen=True, slots=True)
class WrongValue:
    """One value that is not what the configuration says of its key.

    Attributes:
        key: its path, or as the store has it.
        where: `template:line`, or the data map's entry, or "".
        problem: `is no port; …`, without anything of the value.
        ask: whom to ask of it, and what it is, or "".
    """

    source: str
    key: str
    where: str
    problem: str
    ask: str = ""

    def __str__(self) -> str:
        hint = f" ({self.ask})" if self.ask else ""
        text = f"the value of {self.source}:{self.key} {self.problem}{hint}"
        return f"{self.where}: {text}" if self.where else text


class MissingKeys(RenderError):
    """A render asked for keys that do not exist; `missing` has all of them, in the order they were asked for.

    `wrong` has the values it read that are not what they have to be.
    """

    def __init__(self, missing: Sequence[MissingKey], wrong: Sequence[WrongValue] = ()) -> None:
        self.missing = tuple(missing)
        self.wrong = tuple(wrong)
        head = "1 key is missing" if len(self.missing) == 1 else f"{len(self.missing)} keys are missing"
        super().__init__("; ".join((f"{head}: " + "; ".join(map(str, self.missing)), *map(str, self.wrong))))


class WrongValues(RenderError):
    """A render read values that are not what the configuration says of their keys; `wrong` has all of them."""

    def __init__(self, wrong: Sequence[WrongValue]) -> None:
        self.wrong = tuple(wrong)
        super().__init__("; ".join(map(str, self.wrong)))


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
