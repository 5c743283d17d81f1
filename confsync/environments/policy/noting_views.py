"""Views that remember what was asked of them: what a render reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confsync.address import parse
from confsync.driver import Entry
from confsync.environments.policy.guarded_views import WrappedView
from confsync.errors import Denied, HeldBack, SourceError
from confsync.render.refused_field import RefusedField
from confsync.snapshot import PLACEHOLDER, Found, View

_PLACEHOLDER = Found(Entry(PLACEHOLDER.encode(), 0), "", fetched=False)


class NotingView(WrappedView):
    """Another view, which it asks. Belongs to one thread.

    Attributes:
        noted: path -> the answer: what was found, None, or why it may not be read.
    """

    __slots__ = ("_withheld", "noted")

    def __init__(self, inner: View) -> None:
        super().__init__(inner)
        self.noted: dict[str, tuple[Found, Any] | HeldBack | Denied | None] = {}
        self._withheld = False

    def withhold(self, withheld: bool) -> None:
        self._withheld = withheld
        self._inner.withhold(withheld)

    def look_up(self, path: str) -> tuple[Found, Any] | None:
        # A path made of a secret is told of without its parameters: they are what it is made of.
        name = path.partition("?")[0] if self._withheld else path
        try:
            self.noted[name] = self._inner.look_up(path)
        except (HeldBack, Denied) as exc:
            self.noted[name] = exc
            raise
        return self.noted[name]  # type: ignore[return-value] # it is no error


class DiscoveringView(NotingView):
    """One that goes on where something may not be read, with a placeholder in its place: to find what else is read."""

    __slots__ = ("_undecrypted",)

    def __init__(self, inner: View) -> None:
        super().__init__(inner)
        self._undecrypted: set[str] = set()

    @property
    def withheld(self) -> HeldBack | Denied | None:
        """Why the first thing that may not be read may not be, if there is one."""
        for one in self.noted.values():
            if isinstance(one, HeldBack | Denied):
                return one
            for value in one[1].values() if one and isinstance(one[1], Mapping) else ():
                if isinstance(value, RefusedField):
                    return value.error
        return None

    def look_up(self, path: str) -> tuple[Found, Any] | None:
        try:
            looked = super().look_up(path)
        except (HeldBack, Denied):
            whole = self.by_request and parse(path).field is None
            return _PLACEHOLDER, {} if whole else PLACEHOLDER
        if looked is None or not isinstance(looked[1], Mapping):
            return looked
        fields = {
            name: PLACEHOLDER if isinstance(one, RefusedField) else one for name, one in looked[1].items()
        }
        return looked[0], fields

    def decrypted(self, key: str, ciphertext: str) -> bytes | None:
        if key in self._undecrypted:
            return PLACEHOLDER.encode()
        try:
            return super().decrypted(key, ciphertext)
        except HeldBack as exc:
            return self._go_on_without(key, exc)

    def decrypt(self, key: str, ciphertexts: Sequence[str]) -> list[bytes | SourceError]:
        try:
            return super().decrypt(key, ciphertexts)
        except Denied as exc:
            return [self._go_on_without(key, exc)] * len(ciphertexts)

    def _go_on_without(self, key: str, error: HeldBack | Denied) -> bytes:
        self._undecrypted.add(key)
        self.noted[f"/{key}"] = error
        return PLACEHOLDER.encode()

    def under(self, prefix: str) -> list[str]:
        return self._listed(super().under, prefix)

    def below(self, prefix: str) -> list[str]:
        return self._listed(super().below, prefix)

    def children(self, prefix: str) -> list[str]:
        return self._listed(super().children, prefix)

    def directories(self, prefix: str) -> list[str]:
        return self._listed(super().directories, prefix)

    def _listed(self, listing: Callable[[str], list[str]], prefix: str) -> list[str]:
        try:
            return listing(prefix)
        except (HeldBack, Denied) as exc:
            self.noted[f"{prefix.rstrip('/')}/*" if prefix.strip("/") else "*"] = exc
            return []
