"""The variables of whole sources: every key that is wanted, read as whoever asks may read it."""

from __future__ import annotations

from collections.abc import Iterator

from confsync.environments.gathering import Gathering
from confsync.environments.variables import Withheld
from confsync.errors import ConfsyncError, Denied
from confsync.snapshot import View
from confsync.text import nearest


def gather_sources(gathering: Gathering) -> None:
    """Every wanted key of every source.

    Raises:
        ConfsyncError: a source cannot be asked, or gives nothing at all to whoever asks.
    """
    for name in gathering.core.hub.sources:
        prefixes = gathering.selector.prefixes(name)
        if prefixes != []:
            _gather_source(gathering, name, prefixes or [""])
    _note_missing(gathering)
    if not (gathering.seen or gathering.denied or gathering.unfetched or gathering.held_back):
        gathering.problems.append(_nothing(gathering))


def _gather_source(gathering: Gathering, source: str, prefixes: list[str]) -> None:
    closed = gathering.policy.closes(source)
    if closed is not None:
        gathering.hold_back(source, "*", closed)
    else:
        view = gathering.core.hub.view(source, gathering.environment, looking=True)
        gather = _gather_secrets if view.by_request else _gather_keys
        gather(gathering, source, view, prefixes)
    for path in gathering.policy.substituted(source):  # those the source itself has not
        if (source, path) not in gathering.seen and _is_wanted(gathering, source, path, prefixes):
            gathering.take(source, path, b"")


def _gather_keys(gathering: Gathering, source: str, view: View, prefixes: list[str]) -> None:
    paths = {path: None for prefix in prefixes for path in (*view.below(prefix), prefix)}
    for path in paths:
        found = view.find(path)
        if found is not None and gathering.selector.wants(source, path):
            gathering.take(source, path, found.entry.value)


def _gather_secrets(gathering: Gathering, source: str, view: View, prefixes: list[str]) -> None:
    refused: list[Denied] = []
    secrets = dict.fromkeys(_secrets(gathering, source, view, prefixes, refused))
    answered = [_gather_secret(gathering, source, view, secret, prefixes) for secret in secrets]
    if refused and not any(answered):
        raise ConfsyncError(
            f"{source}: nothing of it may be read: {refused[0].message}",
            hint=f"{refused[0].hint or 'log in'}; or name its keys under `keys`; or read only the other sources: "
            f"confsync env {gathering.environment} OTHER:",
        )
    gathering.denied += [Withheld(f"{source}:{one.key or ''}", one.message) for one in refused]


def _secrets(
    gathering: Gathering, source: str, view: View, prefixes: list[str], refused: list[Denied]
) -> Iterator[str]:
    """The path of every secret that may be wanted; those that are not listed to us by what the configuration says."""
    for prefix in prefixes:
        place = prefix.partition("#")[0]
        if place:
            yield place
        yield from _listed(view, place, refused)
    written_out = [path for path, _ in gathering.documentation.written_out(source)]
    for path in written_out:
        if any(_is_below(path, prefix) for prefix in prefixes):
            yield path.partition("#")[0]


def _listed(view: View, directory: str, refused: list[Denied]) -> Iterator[str]:
    left = [directory]
    while left:
        here = left.pop()
        try:
            names = view.under(here)
        except Denied as exc:
            refused.append(exc)
            continue
        for name in names:
            path = f"{here}/{name}" if here else name
            if path.endswith("/"):
                left.append(path.rstrip("/"))
            else:
                yield path


def _gather_secret(gathering: Gathering, source: str, view: View, secret: str, prefixes: list[str]) -> bool:
    """The fields of one secret that are wanted; whether the store said anything of it."""
    closed = gathering.policy.closes(source, secret)
    if closed is not None:
        gathering.hold_back(source, secret, closed)
        return True
    try:
        looked = view.look_up(secret)
    except Denied as exc:
        gathering.denied.append(Withheld(f"{source}:{secret}", exc.message))
        return False
    if looked is None:
        return False
    found, fields = looked
    if not found.fetched:
        gathering.unfetched.append(Withheld(f"{source}:{secret}", "it is made anew for each who fetches it"))
        return True
    for path in (f"{secret}#{field}" for field in sorted(fields) if field):
        one = view.find(path)
        if one is not None and _is_wanted(gathering, source, path, prefixes):
            gathering.take(source, path, one.entry.value)
    return True


def _is_wanted(gathering: Gathering, source: str, path: str, prefixes: list[str]) -> bool:
    return any(_is_below(path, prefix) for prefix in prefixes) and gathering.selector.wants(source, path)


def _is_below(path: str, prefix: str) -> bool:
    return not prefix or path == prefix or path.startswith((f"{prefix}/", f"{prefix}#"))


def _note_missing(gathering: Gathering) -> None:
    """The required keys that are wanted, neither there nor held back."""
    denied = {one.key: one.why for one in gathering.denied}
    for source in gathering.core.hub.sources:
        prefixes = gathering.selector.prefixes(source)
        if prefixes == [] or gathering.policy.closes(source) is not None:
            continue
        for path, key in gathering.documentation.written_out(source):
            if not key.required_in(gathering.environment) or (source, path) in gathering.seen:
                continue
            secret = path.partition("#")[0]
            if gathering.policy.closes(source, secret) is None and _is_wanted(
                gathering, source, path, prefixes or [""]
            ):
                why = denied.get(f"{source}:{secret}", "it does not exist")
                gathering.problems.append(f"{source}:{path} is required in {gathering.environment}: {why}")


def _nothing(gathering: Gathering) -> str:
    """That what was selected does not exist, with what is most like it."""
    said = [*gathering.selection.prefixes, *gathering.selection.globs]
    if not said:
        return f"environment {gathering.environment} has no keys"
    known: set[str] = set()
    for name in gathering.core.hub.sources:
        view = gathering.core.hub.view(name, gathering.environment, looking=True)
        if gathering.policy.closes(name) is None and not view.by_request:
            known |= {"/".join(path.split("/")[:depth]) for path in view.paths() for depth in (1, 2, 3)}
    near = nearest(said[0].rpartition(":")[2], known)
    hint = (
        f"did you mean {near!r}?" if near else f"list the keys with: confsync ls -e {gathering.environment}"
    )
    return f"environment {gathering.environment} has no keys for {', '.join(map(repr, said))} ({hint})"
