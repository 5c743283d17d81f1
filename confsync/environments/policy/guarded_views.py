"""Views that show of a source only what may come down to a laptop.

They hold no snapshot of what they guard, so that whatever is asked of them goes through the rules or finds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from confsync.address import Wanted, parse
from confsync.driver import Entry
from confsync.environments.policy.rules import Kind, Rule, Rules
from confsync.errors import Denied, HeldBack, SourceError
from confsync.render.refused_field import OTHER_FIELDS, RefusedField
from confsync.snapshot import Absent, Found, Problem, Snapshot, View, as_bytes

LOGINS = "it tells of logins to the store, or makes one"


class WrappedView(View):
    """Another view, asked for everything; what is to be otherwise is overridden."""

    __slots__ = ("_inner",)

    def __init__(self, inner: View) -> None:
        known = inner.snapshot
        super().__init__(Snapshot(known.source, known.revision, {}, known.read_at), inner.prefixes)
        self._inner = inner

    @property
    def by_request(self) -> bool:
        return self._inner.by_request

    def find(self, path: str) -> Found | None:
        looked = self.look_up(path)
        return None if looked is None else looked[0]

    def look_up(self, path: str) -> tuple[Found, Any] | None:
        return self._inner.look_up(path)

    def spell(self, text: str) -> str:
        return self._inner.spell(text)

    def only_look(self) -> None:
        self._inner.only_look()

    def withhold(self, withheld: bool) -> None:
        self._inner.withhold(withheld)

    def decrypted(self, key: str, ciphertext: str) -> bytes | None:
        return self._inner.decrypted(key, ciphertext)

    def decrypt(self, key: str, ciphertexts: Sequence[str]) -> list[bytes | SourceError]:
        return self._inner.decrypt(key, ciphertexts)

    def absent(self, path: str) -> Absent:
        return self._inner.absent(path)

    def problem(self, paths: Iterable[str]) -> Problem | None:
        return self._inner.problem(paths)

    def shadowed(self, path: str) -> list[str]:
        return self._inner.shadowed(path)

    def paths(self) -> list[str]:
        return self._inner.paths()

    def under(self, prefix: str) -> list[str]:
        return self._inner.under(prefix)

    def below(self, prefix: str) -> list[str]:
        return self._inner.below(prefix)

    def children(self, prefix: str) -> list[str]:
        return self._inner.children(prefix)

    def directories(self, prefix: str) -> list[str]:
        return self._inner.directories(prefix)


class _Guard(WrappedView):
    """What both kinds of source have in common."""

    __slots__ = ("_name", "_rules")

    def __init__(self, source: str, inner: View, rules: Rules) -> None:
        super().__init__(inner)
        self._name = source
        self._rules = rules

    def _ruled(self, path: str) -> str | None:
        """What stands in for the key at `path`; None: it may be read. Raises `HeldBack`."""
        ruling = self._rules.ruling(path)
        if ruling is None:
            return None
        if ruling.kind is Kind.HELD_BACK:
            raise self._refusal(path, ruling.rule, ruling.place)
        return ruling.value

    def _refuse_closed(self, path: str, rule: Rule | None) -> None:
        if rule is not None:
            raise self._refusal(path, rule.name, rule.find_place())

    def _refusal(self, path: str, rule: str, place: str) -> HeldBack:
        key, (policy, _, kind) = f"{self._name}:{path}", rule.partition(" ")[0].rpartition(".")
        otherwise = "allow it" if kind == "allow" else "deny less: allowing it does not help"
        return HeldBack(
            f"{key} is held back by {rule} ({place})",
            key=key,
            rule=rule,
            hint=f"give it a value with substitute in {policy}, or {otherwise}",
        )


class EnumerableGuard(_Guard):
    """Of a source that is read as a whole."""

    __slots__ = ()

    def look_up(self, path: str) -> tuple[Found, Any] | None:
        try:
            value = self._ruled(path)
        except HeldBack:
            if self._is_missing(path):
                return None
            raise
        return self._inner.look_up(path) if value is None else _stand_in(value)

    def _is_missing(self, path: str) -> bool:
        """Whether there surely is no such key, so that nothing is held back.

        A source of which nothing comes down is read by nobody, so that it cannot be told what it has.
        """
        if self._rules.closing is not None:
            return False
        try:
            return self._inner.look_up(self._inner.spell(path)) is None
        except SourceError:
            return False

    def absent(self, path: str) -> Absent:
        try:
            return View.absent(self, path)
        except Denied:  # not everything may be read
            return self._inner.absent(path)

    def paths(self) -> list[str]:
        if self._paths is None:
            self._paths = self.under("")
        return self._paths

    def under(self, prefix: str) -> list[str]:
        self._refuse_closed("*", self._rules.closing)
        below = f"{prefix}/" if prefix else ""
        added = {one.path for one in self._rules.substitutes if one.alone and one.path.startswith(below)}
        paths = self._inner.under(prefix)
        return sorted(added.union(paths)) if added else paths

    def below(self, prefix: str) -> list[str]:
        return View.below(self, prefix)

    def children(self, prefix: str) -> list[str]:
        return View.children(self, prefix)

    def directories(self, prefix: str) -> list[str]:
        return View.directories(self, prefix)


class LoginGuard(WrappedView):
    """Of a source that is asked for one secret at a time. What it tells of the caller's login no template is given.

    Args:
        tells: whether what is at a path is about logins.
    """

    __slots__ = ("_name", "_tells")

    def __init__(self, source: str, inner: View, tells: Callable[[str], bool]) -> None:
        super().__init__(inner)
        self._name = source
        self._tells = tells

    def look_up(self, path: str) -> tuple[Found, Any] | None:
        if self._tells(self._inner.spell(path)):
            key = f"{self._name}:{path.partition('?')[0]}"
            raise HeldBack(f"{key} is held back: {LOGINS}", key=key, rule=LOGINS)
        return self._inner.look_up(path)


class AddressedGuard(_Guard):
    """Of a source that is asked for one secret at a time. What is held back for certain is not asked for."""

    __slots__ = ()

    def look_up(self, path: str) -> tuple[Found, Any] | None:
        wanted = parse(self._inner.spell(path))
        if wanted.field is None:
            return self._secret(path, wanted)
        value = self._ruled(path)
        return self._inner.look_up(path) if value is None else _stand_in(value)

    def _secret(self, path: str, wanted: Wanted) -> tuple[Found, Any] | None:
        """A whole secret. What of it is held back is refused only when it is used, for few use all fields."""
        stand_ins = self._rules.stand_ins(wanted)
        try:
            self._refuse_closed(path, self._rules.closes(path))
            looked = self._inner.look_up(path)
        except (HeldBack, Denied) as exc:
            if not stand_ins:
                raise
            return _made({**stand_ins, OTHER_FIELDS: RefusedField(exc)})
        if looked is None:
            return _made(stand_ins) if stand_ins else None
        found, fields = looked
        if not found.fetched:
            return looked
        return _made(
            {**{name: self._field(wanted, name, fields[name]) for name in fields}, **stand_ins}, found
        )

    def _field(self, wanted: Wanted, name: str, value: Any) -> Any:
        try:
            stand_in = self._ruled(str(wanted._replace(field=name)))
        except HeldBack as exc:
            return RefusedField(exc)
        return value if stand_in is None else stand_in

    def decrypted(self, key: str, ciphertext: str) -> bytes | None:
        self._refuse_decryption(key)
        return self._inner.decrypted(key, ciphertext)

    def decrypt(self, key: str, ciphertexts: Sequence[str]) -> list[bytes | SourceError]:
        self._refuse_decryption(key)
        return self._inner.decrypt(key, ciphertexts)

    def _refuse_decryption(self, key: str) -> None:
        """What a key decrypts may be anything: nothing stands in for it, and it comes down only if the key may."""
        ruling = self._rules.ruling(f"/{key}")
        if ruling is not None:
            raise self._refusal(f"/{key}", ruling.rule, ruling.place)

    def paths(self) -> list[str]:
        return self.below("")

    def under(self, prefix: str) -> list[str]:
        self._refuse_closed(prefix or "*", self._rules.closing)
        return self._inner.under(prefix)

    def below(self, prefix: str) -> list[str]:
        self._refuse_closed(prefix or "*", self._rules.closing)
        return self._inner.below(prefix)

    def children(self, prefix: str) -> list[str]:
        self._refuse_closed(prefix or "*", self._rules.closing)
        return self._inner.children(prefix)

    def directories(self, prefix: str) -> list[str]:
        self._refuse_closed(prefix or "*", self._rules.closing)
        return self._inner.directories(prefix)


def _stand_in(value: str) -> tuple[Found, str]:
    return Found(Entry(as_bytes(value), 0), ""), value


def _made(fields: Mapping[str, Any], found: Found | None = None) -> tuple[Found, Mapping[str, Any]]:
    """A secret of these fields, with all else that is known of the one that was `found`."""
    shown = {name: value for name, value in fields.items() if not isinstance(value, RefusedField)}
    found = found or Found(Entry(b"", 0), "")
    return found._replace(entry=found.entry._replace(value=as_bytes(shown))), fields
