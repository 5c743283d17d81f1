"""One environment's look at an addressed source, for the length of one render."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from confsync.address import Wanted, parse, spelled
from confsync.driver import Address, Entry, Secret
from confsync.errors import Invalid, SourceError
from confsync.snapshot import PLACEHOLDER, Absent, Found, Problem, Snapshot, View, as_bytes
from confsync.source.at_once import at_once
from confsync.text import did_you_mean, nearest

if TYPE_CHECKING:
    from confsync.source.addressed import AddressedSource


_MOST_LISTED = 10_000


class AddressedView(View):
    """What one render sees: whatever it has read once stays so until it ends, so that parts of one secret fit together.

    Used by one thread. Paths are spelled as `confsync.address` says; a secret as a whole, or one field of it.
    """

    __slots__ = ("_absent", "_looking", "_plaintexts", "_secrets", "_source", "_withheld")

    def __init__(self, source: AddressedSource, prefixes: tuple[str, ...], *, looking: bool) -> None:
        super().__init__(Snapshot(source.name, 0, {}, 0.0), prefixes)
        self._source = source
        self._looking = looking
        self._withheld = False
        self._secrets: dict[Address, Secret | None] = {}
        self._absent: dict[str, Absent] = {}
        self._plaintexts: dict[tuple[str, str], bytes] = {}

    @property
    def by_request(self) -> bool:
        """Whether each key is asked for on its own."""
        return True

    def spell(self, text: str) -> str:
        """The canonical spelling; a leading slash means the store's root. Raises `SourceError`: it is no path."""
        return str(_parsed(text))

    def withhold(self, withheld: bool) -> None:
        """Whether the paths asked for next are made of secrets, so that no log and no status may name them."""
        self._withheld = withheld

    def only_look(self) -> None:
        """From now on do not fetch what fetching would make."""
        self._looking = True

    def read_ahead(self, paths: Iterable[str]) -> None:
        """Have the secrets at these paths read at the same time, so that looking them up asks for nothing more.

        Asks what looking them up one by one would ask. What fails does so again when it is looked up.
        """
        wanted = dict.fromkeys(paths)
        if len(wanted) > 1:
            at_once([partial(self._known_to_source, path) for path in wanted])

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
                value: Any = {} if wanted.field is None else PLACEHOLDER
                return Found(Entry(PLACEHOLDER.encode(), 0), prefix, fetched=False), value
            if secret.data is None:
                self._absent.setdefault(path, Absent(secret.missing, None))
                continue
            if wanted.field is not None and wanted.field not in secret.data:
                self._absent[path] = _no_field(wanted.field, secret.data)
                return None
            value = secret.data if wanted.field is None else secret.data[wanted.field]
            return Found(Entry(as_bytes(value), secret.version, secret.created), prefix), value
        return None

    def under(self, prefix: str) -> list[str]:
        """The names one step below `prefix`, spelled as in a path, sorted; those that have more below end in `/`.

        Args:
            prefix: below the environment's; with a leading slash, which may be all, from the store's root.

        Raises:
            SourceError: the store does not list them to us, or `prefix` is no path.
        """
        names: set[str] = set()
        wanted = _place(prefix)
        for base in ("",) if wanted.absolute else self.prefixes:
            listing = self._secret(Address(wanted.under(base).path + "/"), prefix)
            names |= set(listing.data["names"]) if listing is not None and listing.data else set()
        return sorted(spelled(name) for name in names if name.strip("/") not in ("", ".", ".."))

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
        left = [_without_slash(prefix)]
        while left:
            directory = left.pop()
            for name in self.under(directory):
                path = _below(directory, name)
                (left if path.endswith("/") else found).append(path.rstrip("/"))
            if len(found) + len(left) > _MOST_LISTED:
                raise Invalid(
                    f"there are more than {_MOST_LISTED} secrets below {prefix or 'the root'}", key=prefix
                )
        return sorted(found)

    def absent(self, path: str) -> Absent:
        """What can be said of a secret or field that is not there; asks nothing but the names beside it."""
        known = self._absent.get(path, Absent("", None))
        wanted = _parsed(path)
        if any(one is not None and one.data is not None for one in self._read_for(wanted)):
            return known  # the secret is there, its field is not
        directory, _, name = str(wanted._replace(parameters=(), field=None)).rpartition("/")
        try:
            names = self.under(directory or ("/" if wanted.absolute else ""))
        except SourceError:
            return known
        if name in names:
            return known  # it is there: only the version asked for, or its latest, is not
        near = nearest(name, (one.rstrip("/") for one in names))
        if near is None:
            return known
        path = f"{directory}/{near}" if directory or wanted.absolute else near
        return Absent(known.detail, str(parse(path)._replace(field=wanted.field)))

    def shadowed(self, path: str) -> list[str]:
        """The later prefixes that have a secret there too, and lose."""
        wanted = _parsed(path)
        if wanted.absolute:
            return []
        asked = {prefix: self._secret(wanted.under(prefix), path) for prefix in self.prefixes}
        return [prefix for prefix, found in asked.items() if found is not None and found.data is not None][1:]

    def problem(self, paths: Iterable[str]) -> Problem | None:
        """Why what was read or listed at these paths may be out of date, or about to end."""
        addresses = (address for path in paths for address in self._asked(path))
        # What this view did not come to ask is what others read: a later layer, say.
        return self._source.problem(address for address in addresses if address in self._secrets)

    def decrypted(self, key: str, ciphertext: str) -> bytes | None:
        """What is known of a ciphertext already, or None."""
        plain = self._plaintexts.get((key, ciphertext))
        return self._source.decrypted(key, ciphertext) if plain is None else plain

    def decrypt(self, key: str, ciphertexts: Sequence[str]) -> list[bytes | SourceError]:
        """What each says, or why that cannot be told. Raises `SourceError` where the store cannot be asked."""
        found = self._source.decrypt(key, ciphertexts)
        told = zip(ciphertexts, found, strict=True)
        self._plaintexts |= {(key, one): plain for one, plain in told if isinstance(plain, bytes)}
        return found

    def _read_for(self, wanted: Wanted) -> list[Secret | None]:
        """What was read in each layer."""
        asked = (wanted.under(prefix) for prefix in (("",) if wanted.absolute else self.prefixes))
        return [self._secrets[address] for address in asked if address in self._secrets]

    def _asked(self, path: str) -> Iterator[Address]:
        """The addresses a path may stand for: of a secret, or of the names below it."""
        wanted = _parsed(path) if path.strip("/") else _place(path)
        for prefix in ("",) if wanted.absolute else self.prefixes:
            address = wanted.under(prefix)
            yield address
            yield Address(f"{address.path}/")

    def _known_to_source(self, path: str) -> None:
        """Have the source read what `look_up` will ask it for. Leaves the view as it is, for other threads do this."""
        with suppress(SourceError):
            wanted = _parsed(path)
            for prefix in ("",) if wanted.absolute else self.prefixes:
                address = wanted.under(prefix)
                secret = self._source.read(address, path, looking=self._looking, withheld=self._withheld)
                if secret is None or secret.data is not None:
                    return

    def _secret(self, address: Address, name: str) -> Secret | None:
        if address not in self._secrets:
            self._secrets[address] = self._source.read(
                address, name, looking=self._looking, withheld=self._withheld
            )
        return self._secrets[address]


def _place(prefix: str) -> Wanted:
    """A place to list; unlike a path it may be the root, and there is nothing in it but its name."""
    if not prefix.strip("/"):
        return Wanted("", prefix.startswith("/"))
    wanted = _parsed(prefix)
    if wanted.parameters or wanted.field is not None:
        raise Invalid(
            f"{prefix!r} is nothing to list: it has a # or ?; in a name these are spelled %23 and %3F",
            key=prefix,
        )
    return wanted


def _without_slash(prefix: str) -> str:
    """Without the slash at its end, but for that which is all of the store's root."""
    return prefix.rstrip("/") or prefix[:1]


def _below(directory: str, name: str) -> str:
    return f"{directory.rstrip('/')}/{name}" if directory else name


def _parsed(path: str) -> Wanted:
    try:
        return parse(path)
    except ValueError as exc:
        raise Invalid(f"{path!r} is no path of a secret: {exc}", key=path) from None


def _no_field(field: str, data: Mapping[str, Any]) -> Absent:
    return Absent(f"the secret has no field {field!r}{did_you_mean(field, data)}", None)
