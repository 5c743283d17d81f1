"""Modes, owners and groups: what a target should have, and giving it to a file nobody sees yet."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from confsync.config.models import Ownership
from confsync.errors import SinkError
from confsync.text import did_you_mean, printable

DEFAULT_MODE = 0o644
SENSITIVE_MODE = 0o600
_NAMES_GOOD_FOR = 60.0
_REFUSED = (errno.EPERM, errno.EINVAL)  # EINVAL: an id without meaning in this user namespace


class _Remembered:
    """A lookup in the user database, remembered for a minute: it may ask a directory server. Thread-safe."""

    __slots__ = ("_known", "_look_up")

    def __init__(self, look_up: Callable[[int], str]) -> None:
        self._look_up = look_up
        self._known: dict[int, tuple[float, str]] = {}

    def __call__(self, number: int) -> str:
        known = self._known.get(number)
        now = time.monotonic()
        if known is not None and now < known[0]:
            return known[1]
        try:
            name = self._look_up(number)
        except KeyError:
            name = str(number)
        self._known[number] = (now + _NAMES_GOOD_FOR, name)
        return name


user_name = _Remembered(lambda uid: pwd.getpwuid(uid).pw_name)
"""A user id's name, or the number where it has none."""

group_name = _Remembered(lambda gid: grp.getgrgid(gid).gr_name)
"""A group id's name, or the number where it has none."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a file shall have before anybody sees it.

    Attributes:
        mode: permission bits.
        uid, gid: numeric ids, or None for what the kernel gives a new file.
        configured: which of "mode", "owner", "group" the user asked for; only these may fail.
    """

    mode: int
    uid: int | None
    gid: int | None
    configured: frozenset[str] = frozenset()


def attributes_of(found: os.stat_result) -> dict[str, str]:
    """An existing file's attributes, as people write them."""
    return {
        "mode": f"{stat.S_IMODE(found.st_mode):04o}",
        "owner": user_name(found.st_uid),
        "group": group_name(found.st_gid),
    }


def attributes_wanted(
    target: str, spec: Ownership, sensitive: bool, there: Mapping[str, str]
) -> dict[str, str]:
    """What `attributes_of` should give with `spec` in force, given that it now gives `there` (or nothing).

    Raises:
        SinkError: the owner or group does not exist.
    """
    current = there.get("mode", "")
    existing = int(current, 8) if current.isdigit() else None
    wanted = {"mode": f"{_mode(spec, sensitive, existing):04o}"}
    for what, configured, resolve, name in _IDENTITIES:
        asked = configured(spec)
        if asked is None:
            if what in there:
                wanted[what] = there[what]
        elif there.get(what) == asked:
            wanted[what] = there[what]
        else:
            wanted[what] = name(resolve(target, asked))
    return wanted


def permissions(
    target: str, spec: Ownership, sensitive: bool, existing: os.stat_result | None
) -> Permissions:
    """What a new file for `spec` shall have, where `existing` (or nothing) is what it replaces.

    Raises:
        SinkError: the owner or group does not exist.
    """
    given = (("mode", spec.mode), ("owner", spec.owner), ("group", spec.group))
    return Permissions(
        mode=_mode(spec, sensitive, stat.S_IMODE(existing.st_mode) if existing else None),
        uid=_choose(spec.owner, lambda asked: user_id(target, asked), existing and existing.st_uid),
        gid=_choose(spec.group, lambda asked: group_id(target, asked), existing and existing.st_gid),
        configured=frozenset(name for name, value in given if value is not None),
    )


def give(fd: int, target: str, wanted: Permissions) -> tuple[str, ...]:
    """Change the open file's owner and group, then its mode: never the other way, for chown clears bits.

    Returns:
        Notes on what an existing file had, nobody configured, and this user may not give.

    Raises:
        SinkError: something configured is not permitted.
        OSError: for any other reason.
    """
    notes: list[str] = []
    if wanted.uid is not None or wanted.gid is not None:
        now = os.fstat(fd)
        notes += _give_identity(fd, target, wanted, "group", now.st_gid)
        notes += _give_identity(fd, target, wanted, "owner", now.st_uid)
    mode = wanted.mode
    if notes and "mode" not in wanted.configured:
        mode = _without_lost_identity(mode)
    os.fchmod(fd, mode)
    return tuple(notes)


def whoami() -> str:
    """Who this process is, for messages: `alice (uid 1000)`."""
    uid = os.geteuid()
    name = user_name(uid)
    return f"uid {uid}" if name == str(uid) else f"{name} (uid {uid})"


def user_id(target: str, user: int | str) -> int:
    """The id of a user given by name or number. Raises `SinkError` where there is none."""
    return _identity(target, "user", user, lambda name: pwd.getpwnam(name).pw_uid, _all_users)


def group_id(target: str, group: int | str) -> int:
    """The id of a group given by name or number. Raises `SinkError` where there is none."""
    return _identity(target, "group", group, lambda name: grp.getgrnam(name).gr_gid, _all_groups)


_IDENTITIES: tuple[
    tuple[str, Callable[[Ownership], int | str | None], Callable[[str, int | str], int], _Remembered], ...
] = (
    ("owner", lambda spec: spec.owner, user_id, user_name),
    ("group", lambda spec: spec.group, group_id, group_name),
)


def _mode(spec: Ownership, sensitive: bool, existing: int | None) -> int:
    if spec.mode is not None:
        return spec.mode
    if sensitive:
        return SENSITIVE_MODE
    return DEFAULT_MODE if existing is None else existing


def _choose(asked: int | str | None, resolve: Callable[[int | str], int], existing: int | None) -> int | None:
    return existing if asked is None else resolve(asked)


def _give_identity(fd: int, target: str, wanted: Permissions, what: str, now: int) -> list[str]:
    number = wanted.uid if what == "owner" else wanted.gid
    if number is None or number == now:
        return []
    try:
        os.fchown(fd, number if what == "owner" else -1, number if what == "group" else -1)
    except OSError as exc:
        if exc.errno not in _REFUSED:
            raise
        if what in wanted.configured:
            raise _may_not_give(target, what, number) from exc
        name = user_name if what == "owner" else group_name
        return [f"its {what} was {name(number)}, which {whoami()} may not give; it is now {name(now)}"]
    return []


def _without_lost_identity(mode: int) -> int:
    """The group's bits were for another group: ours gets no more than everybody, and set-id bits go."""
    others = mode & 0o007
    return (mode & 0o707) | (mode & 0o070 & (others << 3))


def _may_not_give(target: str, what: str, number: int) -> SinkError:
    name = user_name(number) if what == "owner" else group_name(number)
    who = (
        "only root may give files away"
        if what == "owner"
        else "only root or a member of the group may do that"
    )
    return SinkError(
        target,
        f"cannot make {name} ({number}) its {what} as {whoami()}",
        hint=f"{who}; run confsync as root or with CAP_CHOWN, or drop `{what}`",
    )


def _identity(
    target: str,
    what: str,
    asked: int | str,
    by_name: Callable[[str], int],
    everyone: Callable[[], list[str]],
) -> int:
    if isinstance(asked, int):
        return _checked(target, what, asked)
    nobody = f"there is no {what} {printable(asked)!r} on this machine"
    try:
        return by_name(asked)
    except (KeyError, ValueError) as exc:
        if asked.isascii() and asked.isdigit():
            return _checked(target, what, int(asked))
        hint = f"create it, or write another{did_you_mean(asked, everyone())}"
        raise SinkError(target, nobody, hint=hint) from exc


def _checked(target: str, what: str, number: int) -> int:
    if 0 <= number < 2**32 - 1:
        return number
    raise SinkError(target, f"{number} cannot be a {what} id", hint="ids go from 0 to 4294967294")


def _all_users() -> list[str]:
    return [user.pw_name for user in pwd.getpwall()]


def _all_groups() -> list[str]:
    return [group.gr_name for group in grp.getgrall()]
