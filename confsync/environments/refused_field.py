"""A field of a secret that may not be used; imported only where templates are, for it is a part of them."""

from __future__ import annotations

from jinja2 import StrictUndefined

from confsync.errors import Denied, HeldBack


class RefusedField(StrictUndefined):
    """A field of a secret that was asked for as a whole. Whatever a template does with it raises `error`."""

    __slots__ = ("error",)

    def __init__(self, error: HeldBack | Denied) -> None:
        super().__init__(exc=lambda _: error)  # type: ignore[arg-type] # it is only called
        self.error = error
