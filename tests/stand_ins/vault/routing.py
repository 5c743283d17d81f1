"""Which method of an engine answers which path."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from .answers import Answer, unsupported_operation, unsupported_path
from .call import Call

Handler = TypeVar("Handler", bound=Callable[..., Answer])


def route(operations: str, pattern: str) -> Callable[[Handler], Handler]:
    """Marks a method as the answer to these operations on a path.

    Args:
        operations: separated by spaces; "write" is create and update.
        pattern: `<name>` is one segment, `<name...>` any number of them.
    """
    wanted = frozenset(operations.replace("write", "create update").split())
    regex = re.compile(_regex(pattern) + "/?")

    def mark(handler: Handler) -> Handler:
        routes = [*getattr(handler, "routes", []), (wanted, regex)]
        handler.routes = routes  # type: ignore[attr-defined]
        return handler

    return mark


def _regex(pattern: str) -> str:
    parts = re.split(r"(<[a-z_]+(?:\.\.\.)?>)", pattern)
    return "".join(_part(part) for part in parts)


def _part(part: str) -> str:
    if part.startswith("<") and part.endswith("...>"):
        return f"(?P<{part[1:-4]}>.*?)"
    if part.startswith("<"):
        return f"(?P<{part[1:-1]}>[^/]+)"
    return re.escape(part)


class Routed:
    """Dispatches to its marked methods, in the order they are written."""

    _routes: ClassVar[list[tuple[frozenset[str], re.Pattern[str], Callable[..., Answer]]]] = []

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        members = [member for kind in cls.__mro__ for member in vars(kind).values()]
        cls._routes = [
            (ops, regex, member) for member in members for ops, regex in getattr(member, "routes", [])
        ]

    def dispatch(self, call: Call, path: str) -> Answer:
        """The first pattern that fits the path is the one that answers, as in Vault.

        Raises:
            Refused: 404 for a path nobody answers, 405 for an operation it does not have.
        """
        chosen: str | None = None
        for operations, regex, handler in self._routes:
            match = regex.fullmatch(path)
            if not match or chosen not in (None, regex.pattern):
                continue
            chosen = regex.pattern
            if call.operation in operations:
                return handler(self, call, **match.groupdict())
        raise unsupported_path() if chosen is None else unsupported_operation()
