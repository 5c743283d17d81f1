"""A field of a secret that may not be used."""

from __future__ import annotations

from typing import Any, NoReturn

from confsync.errors import Denied, HeldBack

OTHER_FIELDS = "(other fields)"
"""Stands in a secret for the fields whose names are not known, since it was not read."""


class RefusedField:
    """Stands for a field in a secret that was asked for as a whole.

    A render that touches the field, or goes through the whole secret, gets `error`. Templates are not given this
    object; should some code in C get at it all the same, whatever it does with it raises `error` too.
    """

    __slots__ = ("error",)

    def __init__(self, error: HeldBack | Denied) -> None:
        self.error = error

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise self.error

    __repr__ = __str__ = __format__ = __bool__ = __len__ = __iter__ = __contains__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _refuse
    __int__ = __float__ = __index__ = __getitem__ = __call__ = __getattr__ = _refuse
    __add__ = __radd__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _refuse
