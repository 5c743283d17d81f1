"""What has to happen to one target, and why: a table, not a procedure.

| recorded | actual | desired | what happens |
|---|---|---|---|
| – | nothing | content | create: it is ours |
| – | same content | content | adopt: noted, not touched; never deleted later |
| – | other content | content | update, adopted; never deleted later |
| written | as recorded | same | nothing |
| written | as recorded | other | update |
| written | differs | any | update: drift |
| written | gone | any | create: drift |
| any | content right, mode or owner not | same | permissions |
| any, shared with others | content right, a label or whose it is not | same | metadata |
| ours | as recorded | nothing | delete |
| ours | differs | nothing | release: somebody else's work is in it |
| ours, digest unknown | any | nothing | release: it may have somebody else's work in it |
| adopted | any | nothing | release: it was not ours to begin with |
| adopted or changed, shared with others | there | nothing | withdraw: what is ours goes, the rest lives on |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Action(StrEnum):
    """What happens to a target."""

    NONE = "none"
    ADOPT = "adopt"
    CREATE = "create"
    UPDATE = "update"
    PERMISSIONS = "permissions"
    METADATA = "metadata"
    DELETE = "delete"
    RELEASE = "release"
    WITHDRAW = "withdraw"

    @property
    def writes_content(self) -> bool:
        """Whether readers will see other content."""
        return self in (Action.CREATE, Action.UPDATE, Action.DELETE, Action.WITHDRAW)

    @property
    def removes(self) -> bool:
        """Whether what was ours is taken away."""
        return self in (Action.DELETE, Action.WITHDRAW)

    @property
    def is_change(self) -> bool:
        """Whether the world outside the ledger is changed."""
        return self.writes_content or self in (Action.PERMISSIONS, Action.METADATA)


@dataclass(frozen=True, slots=True)
class Print:
    """What identifies a target's state: a digest of its content, and its mode, owner and group."""

    digest: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger says of a target.

    Attributes:
        digest: of what was last written, or None when that is not known.
        created: whether confsync made it.
        intended: whether the last write may not have been finished.
        previous: then, the digest of what was there before it, as far as it was ours.
        attributes: those it was last written with.
    """

    digest: str | None
    created: bool
    intended: bool
    previous: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens, and whether the target had changed behind confsync's back."""

    action: Action
    drift: bool = False


def decide(desired: Print, actual: Print | None, known: Known | None, *, shared: bool = False) -> Decision:
    """What has to happen so that `actual` becomes `desired`.

    Args:
        shared: whether others may write to it as well.
    """
    drift = _drifted(actual, known)
    if actual is None:
        return Decision(Action.CREATE, drift)
    if actual.digest != desired.digest:
        return Decision(Action.UPDATE, drift)
    if dict(actual.attributes) != dict(desired.attributes):
        action = Action.METADATA if shared else Action.PERMISSIONS
        return Decision(action, _attributes_drifted(actual, known))
    return Decision(Action.NONE if known is not None else Action.ADOPT)


def decide_removal(actual: Print | None, known: Known, *, shared: bool = False) -> Decision:
    """What happens to a target that is no longer wanted.

    Args:
        shared: whether others may write to it as well, and what is ours in it is known.
    """
    if shared and actual is not None:
        whole = known.created and actual.digest in (known.digest, known.previous)
        return Decision(Action.DELETE if whole else Action.WITHDRAW, _drifted(actual, known))
    # Whether a write was finished does not matter here: what is not known to be ours stays.
    if actual is None or not known.created or actual.digest not in (known.digest, known.previous):
        return Decision(Action.RELEASE, _drifted(actual, known))
    return Decision(Action.DELETE)


def _attributes_drifted(actual: Print, known: Known | None) -> bool:
    if known is None or known.intended:
        return False
    return any(actual.attributes.get(name) != value for name, value in known.attributes.items())


def _drifted(actual: Print | None, known: Known | None) -> bool:
    if known is None or known.digest is None or known.intended:
        return False
    return actual is None or actual.digest != known.digest


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan.

    Attributes:
        sync: whose target it is.
        target: its id, `file:/etc/app.conf`.
        action: what happens.
        drift: whether it changed though the truth did not.
        sensitive: whether old or new content depends on a sensitive value.
        reasons: which keys, templates or settings changed; no values.
        diff: a unified diff, masked where sensitive; empty where content stays.
        before, after: digests of the content, None where there is none.
    """

    sync: str
    target: str
    action: Action
    drift: bool
    sensitive: bool
    reasons: tuple[str, ...] = ()
    diff: tuple[str, ...] = ()
    before: str | None = None
    after: str | None = None
    attributes: Mapping[str, str] | None = None
