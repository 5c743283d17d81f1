"""A comparison of environments for programs. Fields may be added; those there are stay what they are.

    environments   their names, in the order in which they were given
    prefix         what was compared only, as it was given, or null
    same           whether nothing differs (else the exit status is 2)
    complete       whether everything could be compared (else, where nothing differs, it is 1)
    counts         keys: same, values_differ, only_in_some, unknown (not readable somewhere), unfetched (made anew
                   for whoever fetches it)
    missing        for each environment, how many of the keys listed it has not
    sources        for each: the revision all environments were read at, or null; the problem why it was not compared,
                   or null; unlisted, the places an environment does not list to us: environment, place, why
    keys           those that are not the same, or with --all each:
      key, source, path
      difference   values | presence | unknown | unfetched | none
      sensitive    whether its values are secrets: every value is null then
      about, owner what the configuration says of it, or null
      environments for each:
        state      present | missing | denied | unreadable | unfetched
        group      the number of the first environment that has the same value; null where there is none
        value      text, or of a source that keeps types what it is; null where there is none or it is sensitive
        encoding   base64 where the value is no text, else null
        why        why it could not be read, or null

With --sync there are, besides environments, same and complete:

    sync           its name
    renders        for each environment: error, why it cannot be rendered, or null; revisions, by source; unfetched,
                   what of it only apply fetches
    comparisons    of each environment with the first under which it can be rendered: environments (both), same,
                   targets: target (for each environment its id, or null), same, sensitive, diff (its lines)

Of more than one --sync there are environments, same and complete of all of them, and `syncs`, such a document for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from confsync.cli.diff_lines import folded, one_below_the_other
from confsync.cli.printing import as_text
from confsync.environments.comparison import Cell, ComparedKey, ComparedSource, Comparison, Difference
from confsync.environments.comparison.looks import State
from confsync.environments.comparison.renders import ComparedPair, ComparedRenders, ComparedTarget


def comparison_as_json(comparison: Comparison, prefix: str | None) -> dict[str, Any]:
    """The environments compared, key by key."""
    names = comparison.environments
    return {
        "environments": list(names),
        "prefix": prefix,
        "same": not comparison.differ,
        "complete": not comparison.incomplete,
        "counts": {
            "same": comparison.same,
            "values_differ": comparison.count(Difference.VALUES),
            "only_in_some": comparison.count(Difference.PRESENCE),
            "unknown": comparison.count(Difference.UNKNOWN),
            "unfetched": comparison.count(Difference.UNFETCHED),
        },
        "missing": {
            name: sum(1 for key in comparison.keys if key.cells[at].state is State.MISSING)
            for at, name in enumerate(names)
        },
        "sources": {source.name: _source(source, names) for source in comparison.sources},
        "keys": [_key(key, names) for key in comparison.keys],
    }


def _source(source: ComparedSource, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "revision": source.revision,
        "problem": source.problem or None,
        "unlisted": [
            {"environment": names[one.environment], "place": one.place, "why": one.why}
            for one in source.unlisted
        ],
    }


def _key(key: ComparedKey, names: tuple[str, ...]) -> dict[str, Any]:
    said = key.documentation
    return {
        "key": key.name,
        "source": key.source,
        "path": key.path,
        "difference": key.difference.value,
        "sensitive": key.sensitive,
        "about": said.about if said else None,
        "owner": said.owner if said else None,
        "environments": {name: _cell(cell) for name, cell in zip(names, key.cells, strict=True)},
    }


def _cell(cell: Cell) -> dict[str, Any]:
    value, encoding = as_text(cell.value) if isinstance(cell.value, bytes) else (cell.value, None)
    return {
        "state": cell.state.value,
        "group": cell.group,
        "value": value,
        "encoding": encoding,
        "why": cell.why or None,
    }


def all_renders_as_json(renders: Sequence[ComparedRenders]) -> dict[str, Any]:
    """What each of one or more syncs makes under each environment."""
    documents = [renders_as_json(one) for one in renders]
    if len(documents) == 1:
        return documents[0]
    return {
        "environments": documents[0]["environments"],
        "same": all(one["same"] for one in documents),
        "complete": all(one["complete"] for one in documents),
        "syncs": documents,
    }


def renders_as_json(renders: ComparedRenders) -> dict[str, Any]:
    """What a sync makes under each environment, each against the first it can be rendered under."""
    return {
        "environments": [one.environment for one in renders.rendered],
        "sync": renders.sync,
        "same": not renders.differ,
        "complete": not renders.incomplete,
        "renders": {
            one.environment: {
                "error": one.error or None,
                "revisions": dict(one.revisions),
                "unfetched": list(one.unfetched),
            }
            for one in renders.rendered
        },
        "comparisons": [_pair(pair) for pair in renders.pairs],
    }


def _pair(pair: ComparedPair) -> dict[str, Any]:
    return {
        "environments": [pair.left, pair.right],
        "same": not pair.differ,
        "targets": [_target(pair, target) for target in pair.targets],
    }


def _target(pair: ComparedPair, target: ComparedTarget) -> dict[str, Any]:
    return {
        "target": {pair.left: target.left, pair.right: target.right},
        "same": target.same,
        "sensitive": target.sensitive,
        "diff": list(one_below_the_other(folded(target.lines))),
    }
