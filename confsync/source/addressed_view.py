"""One environment's look at an addressed source, for the length of one render."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from confsync.address import Wanted, parse
from confsync.driver import Address, Entry, Secret
from confsync.errors import Invalid, SourceError
from confsync.snapshot import Absent, Found, Problem, Snapshot, View
from confsync.text import did_you_mean, nearest

if TYPE_CHECKING:
    from confsync.source.addressed import AddressedSource

_PLACEHOLDER = "(fetched by apply)"  # stands for a value that only a command which writes may fetch

_MOST_LISTED = 10_000


class AddressedView(View):
    """What one render sees: whatever it has read once stays so until it ends, so that parts of one secret fit together.

    Used by one thread. Paths are spelled as `confsync.address` says; a secret as a whole, or one field of it.
    """

    __slots__ = ("_absent", "_looking", "_secrets", "_source")

    by_request: ClassVar[bool] = True

    def __init__(self, source: AddressedSource, prefixes: tuple[str, ...], *, looking: bool) -> None:
        super().__init__(Snapshot(source.name, 0, {}, 0.0), prefixes)
        self._source = source
        self._looking = looking
        self._secrets: dict[Address, Secret | None] = {}
        self._absent: dict[str, Absent] = {}

    def spell(self, text: str) -> str:
        """The canonical spelling; a leading slash means the store's root. Raises `SourceError`: it is no path."""
        return str(_parsed(text))

    def find(self, path: str) -> Found | None:
        """The secret or field at `path`: text as it is, all else as JSON.

        Raises:
            SourceError: it cannot be read, or `path` is no address.
        """
        found = self.look_up(path)
        return None if found is None else found[0]

    def look_up(self, path: str) -> tuple[Found, Any] | None:
        """As `find`, with the value as the store gave it: a mapping of fields, or one field.

        The first prefix that has a secret there decides, also about a field it does not have.
        """
        wanted = _parsed(path)
        for prefix in ("",) if wanted.absolute else self.prefixes:
            secret = self._secret(wanted.under(prefix), path)
            if secret is None:
                value: Any = {} if wanted.field is None else _PLACEHOLDER
                return Found(Entry(_PLACEHOLDER.encode(), 0), prefix, fetched=False), value
            if secret.data is None:
                self._absent.setdefault(path, Absent(secret.missing, None))
                continue
            if wanted.field is not None and wanted.field not in secret.data:
                self._absent[path] = _no_field(wanted.field, secret.data)
                return None
            value = secret.data if wanted.field is None else secret.data[wanted.field]
            return Found(Entry(_bytes(value), secret.version, secret.created), prefix), value
        return None

    def under(self, prefix: str) -> list[str]:
        """The names one step below `prefix`, sorted; those that have more below end in `/`.

        Raises:
            SourceError: the store does not list them to us.
        """
        names: set[str] = set()
        wanted = Wanted(prefix.strip("/"), prefix.startswith("/"))
        for base in ("",) if wanted.absolute else self.prefixes:
            listing = self._secret(Address(wanted.under(base).path + "/"), prefix)
            names |= set(listing.data["names"]) if listing is not None and listing.data else set()
        return sorted(names)

    def children(self, prefix: str) -> list[str]:
        """The names of the secrets one step below `prefix`."""
        return [name for name in self.under(prefix) if not name.endswith("/")]

    def directories(self, prefix: str) -> list[str]:
        """The names one step below `prefix` that have something below them, without their slash."""
        return [name.rstrip("/") for name in self.under(prefix) if name.endswith("/")]

    def paths(self) -> list[str]:
        """The path of every secret: one listing for each directory.

        Raises:
            SourceError: the store does not list them to us, or there are too many.
        """
        return self.below("")

    def below(self, prefix: str) -> list[str]:
        """The path of every secret below `prefix`, at any depth, sorted. Raises as `paths`."""
        found: list[str] = []
        left = [prefix.strip("/")]
        while left:
            directory = left.pop()
            for name in self.under(directory):
                path = f"{directory}/{name}" if directory else name
                (left if path.endswith("/") else found).append(path.rstrip("/"))
            if len(found) + len(left) > _MOST_LISTED:
                raise Invalid(
                    f"there are more than {_MOST_LISTED} secrets below {prefix or 'the root'}", key=prefix
                )
        return sorted(found)

    def absent(self, path: str) -> Absent:
        """What can be said of a secret or field that is not there; asks nothing but the names beside it."""
        known = self._absent.get(path, Absent("", None))
        if known.nearest is not None or "#" in path or "?" in path:
            return known
        directory, _, name = path.strip("/").rpartition("/")
        try:
            names = self.under(f"/{directory}" if path.startswith("/") else directory)
        except SourceError:
            return known
        if name in names:
            return known  # it is there: only the version asked for, or its latest, is not
        near = nearest(name, (one.rstrip("/") for one in names))
        return known if near is None else Absent(known.detail, f"{directory}/{near}" if directory else near)

    def shadowed(self, path: str) -> list[str]:
        """The later prefixes that have a secret there too, and lose."""
        wanted = _parsed(path)
        if wanted.absolute:
            return []
        asked = {prefix: self._secret(wanted.under(prefix), path) for prefix in self.prefixes}
        return [prefix for prefix, found in asked.items() if found is not None and found.data is not None][1:]

    def problem(self, paths: Iterable[str]) -> Problem | None:
        """Why what was read at these paths may be out of date, or about to end."""
        addresses: list[Address] = []
        for wanted in map(_parsed, paths):
            addresses += [wanted.under(prefix) for prefix in (("",) if wanted.absolute else self.prefixes)]
        return self._source.problem(addresses)

    def decrypted(self, key: str, ciphertext: str) -> bytes | None:
        """What is known of a ciphertext already, or None."""
        return self._source.decrypted(key, ciphertext)

    def decrypt(self, key: str, ciphertexts: Sequence[str]) -> list[bytes | SourceError]:
        """What each says, or why that cannot be told. Raises `SourceError` where the store cannot be asked."""
        return self._source.decrypt(key, ciphertexts)

    def _secret(self, address: Address, name: str) -> Secret | None:
        if address not in self._secrets:
            self._secrets[address] = self._source.read(address, name, looking=self._looking)
        return self._secrets[address]


def _parsed(path: str) -> Wanted:
    try:
        return parse(path)
    except ValueError as exc:
        raise Invalid(f"{path!r} is no path of a secret: {exc}", key=path) from None


def _no_field(field: str, data: Mapping[str, Any]) -> Absent:
    return Absent(f"the secret has no field {field!r}{did_you_mean(field, data)}", None)


def _bytes(value: Any) -> bytes:
    """A value as bytes: the same for the same value, whatever the order of its fields."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )
