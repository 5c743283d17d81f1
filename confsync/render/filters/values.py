"""What filters do with the values given to them: take text or bytes, refuse the rest, never show any of it.

A value may be a secret, so an error says its type and length, and where in it the problem is, not what it is.
"""

from __future__ import annotations

from confsync.errors import LimitExceeded, RenderError

MOST = 1_000_000
"""The largest width, count or length a filter takes as an argument."""
_ALWAYS_ALLOWED = 1_000_000
_ALLOWED_ALONE = 64 * 1024**2


def text(value: object, name: str) -> str:
    """`value` as text: booleans as true and false, bytes decoded. Raises `RenderError`."""
    if type(value) is str:
        return value
    if isinstance(value, str):
        return str.__str__(value)  # Markup would escape whatever is joined to it
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as exc:
            problem = f"{name} takes text, and these {len(value)} bytes are not UTF-8 (byte {exc.start})"
            raise RenderError(problem, hint="b64encode takes any bytes") from exc
    hint = f"for each item of a list: |map('{name}')" if isinstance(value, list | tuple) else None
    raise RenderError(f"{name} takes text, not {describe(value)}", hint=hint)


def raw(value: object, name: str) -> bytes:
    """`value` as bytes: text in UTF-8. Raises `RenderError`."""
    if isinstance(value, bytes):
        return value
    try:
        return text(value, name).encode("utf-8")
    except UnicodeEncodeError as exc:
        raise RenderError(f"{name}: not valid Unicode at character {exc.start + 1}") from exc


def integer(value: object, name: str, most: int = MOST) -> int:
    """`value`, a whole number or text of one, no further than `most` from 0.

    Raises:
        RenderError: not a whole number.
        LimitExceeded: beyond `most`.
    """
    if isinstance(value, str) and len(value) <= 20:
        try:
            value = int(value)
        except ValueError as exc:
            raise RenderError(f"{name} takes a whole number, not {describe(value)}") from exc
    if isinstance(value, bool) or not isinstance(value, int):
        raise RenderError(f"{name} takes a whole number, not {describe(value)}")
    if abs(value) > most:
        raise LimitExceeded(f"{name}: a number beyond {most:,} is not allowed here")
    return value


def describe(value: object) -> str:
    """What kind of value it is and how long, for messages."""
    if value is None:
        return "none"
    if isinstance(value, str):
        return f"text of {len(value)} characters"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, list | tuple | dict):
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
    if isinstance(value, bool | int | float):
        return "true or false" if isinstance(value, bool) else "a number"
    return type(value).__name__


def shown(name: str) -> str:
    """A name for messages: itself, unless this render has read a sensitive value that it might be made of."""
    from confsync.render.recorder import current
    from confsync.text import printable

    recorder = current()
    if recorder is not None and (recorder.sensitive or recorder.secrets):
        return f"a name of {len(name)} characters"
    return repr(printable(name[:256]))


def allow(length: int) -> None:
    """Allow a result of `length` characters or items, or raise `LimitExceeded`; ask before building it."""
    if length <= _ALWAYS_ALLOWED:
        return
    from confsync.render import budget

    active = budget.active()
    if active is not None:
        active.size(length)
    elif length > _ALLOWED_ALONE:
        raise LimitExceeded(f"a filter would build up more than {_ALLOWED_ALONE // 1024**2} MiB")
