"""No value and no name from a store becomes configuration, in any template, at any documented key.

Each hostile text is put at each key in turn. The template refuses it, without showing it, or the program reads a
configuration of the same shape: the same directives, as many words, the same nesting, text where there was text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from stand_ins import syntaxes
from stand_ins.stock import STOCK, Kitchen, flat, stock_file

from confsync.errors import RenderError
from confsync.render.formats import parse

HERE = Path(__file__).parent

TEXTS = [
    "a\nb", "a\r\n  b: c\n", '"', "'", '"; evil on; #', "'; evil(); //", "a\\", 'a\\"', "a\\\nb", "} evil {", "a # b",
    "*/ ?> /*", "${evil}", "$evil", "#{evil}", "$(evil) `evil`", "%n %[env(EVIL)]", "{{ 7 * 7 }}", "\0", "\x1b[31m",
    "é\u2028\ufeff", " a", "a b", "- a", "a: b", "[a]", "&a", "!!python/object:os.system", "@file", "+role", "/regex",
    "~regex", "../../evil", "..", "-evil", "null", "1e3", "", "a,b=c",
    "fe80::1%a\nevil\n#/64", "fe80::1%a evil", "10.0.0.1/8 evil",
]  # fmt: skip


NAMES = [text for text in TEXTS if text and "/" not in text]


def load_yaml(text: str) -> Any:
    return yaml.load(text, Loader=yaml.CSafeLoader)


def scalars(value: Any, known: frozenset[str] | None = None) -> Any:
    """Parsed data with the kind of each scalar in its place, and `*` for every name that is not known."""
    if isinstance(value, Mapping):
        pairs = [
            (key if known is None or key in known else "*", scalars(one, known)) for key, one in value.items()
        ]
        return sorted(pairs, key=repr)
    if isinstance(value, list):
        return sorted((scalars(one, known) for one in value), key=repr)
    return type(value).__name__


def names_in(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from value
        for one in value.values():
            yield from names_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from names_in(one)


def of_data(load: Callable[[str], Any], known: frozenset[str], text: str) -> Any:
    return scalars(load(text), known)


def of_nginx(text: str) -> Any:
    return sorted((one.depth, one.words[0], len(one.words)) for one in syntaxes.nginx(text))


def of_haproxy(text: str) -> Any:
    return sorted((words[0], len(words)) for words in syntaxes.haproxy(text))


def of_redis(text: str) -> Any:
    return [(words[0], len(words)) for words in syntaxes.redis(text)]


def of_postgresql(text: str) -> Any:
    return len(syntaxes.postgresql(text))


def of_pg_hba(text: str) -> Any:
    return sorted(len(fields) for fields in syntaxes.pg_hba(text))


def of_systemd(text: str) -> Any:
    settings = syntaxes.systemd(text)
    return [
        (one.section, one.name, len(syntaxes.systemd_words(one.value)) if one.name == "Environment" else 1)
        for one in settings
    ]


def of_dotenv(text: str) -> Any:
    return len(parse("dotenv", text.encode()))


def of_php(text: str) -> Any:
    return re.sub(r"''|\b-?\d+\b|\btrue\b|\bfalse\b", "*", syntaxes.php(text).code)


LINES: Mapping[str, Callable[[str], Any]] = {
    "site.conf": of_nginx, "haproxy.cfg": of_haproxy, "redis.conf": of_redis, "postgresql.conf": of_postgresql,
    "pg_hba.conf": of_pg_hba, "50-confsync.conf": of_systemd, ".env": of_dotenv, "wp-config.php": of_php,
}  # fmt: skip


def shape(made: list[tuple[str, str]], known: Mapping[str, frozenset[str]]) -> Any:
    """What is read of the files, without the texts."""
    found = []
    for path, text in made:
        if path in LINES:
            found.append((path, LINES[path](text)))
            continue
        load = json.loads if path.endswith(".json") else load_yaml
        kind = path if path in known else "*"
        found.append((kind, of_data(load, known.get(kind, frozenset()), text)))
    return sorted(found, key=repr)


def known_names(made: list[tuple[str, str]]) -> dict[str, frozenset[str]]:
    data = {path: text for path, text in made if path not in LINES}
    found = {path: frozenset(names_in(load_yaml(text))) for path, text in data.items()}
    return {**found, "*": frozenset().union(*found.values())}


NEEDED = {
    **{proxy: {"upstream/tame/one": "10.0.0.1:80"} for proxy in ("nginx", "haproxy", "envoy")},
    "prometheus": {"scrape/node/user": "a", "scrape/node/password": "a"},
}


def tame(template: str) -> dict[str, str]:
    """Values that reach every part of the template."""
    hostile = flat(yaml.safe_load((HERE / "hostile" / f"{template}.yaml").read_text("utf-8")))
    return {
        **flat(yaml.safe_load(stock_file(template, "values.yaml"))["prod"]),
        **hostile,
        **NEEDED.get(template, {}),
    }


HARMLESS = ["a", "1", "true", "5s", "10.0.0.1:80", "/a"]
"""One of these is what any key that is not a choice may have."""


def first_below(head: str, values: Mapping[str, str]) -> str:
    return min(path.removeprefix(head).split("/")[0] for path in values if path.startswith(head))


def place(key: str, values: Mapping[str, str], name: str = "tame") -> str:
    """A path that a documented key stands for: below what there is, and `name` at its end."""
    head, star, rest = key.partition("*/")
    if not star:
        return key.replace("*", name)
    return place(f"{head}{first_below(head, values)}/{rest}", values, name)


class Tally:
    """What is read of what is made, and how often something was made."""

    def __init__(self, template: str, base: Path) -> None:
        self.kitchen = Kitchen(template, base)
        self.values = tame(template)
        self._known = known_names(self.kitchen.made(self.values))
        self.taken = 0

    def shape(self, values: Mapping[str, str], hidden: str = "") -> Any:
        """What is read of what is made of `values`, or None where they are refused: without showing `hidden`."""
        try:
            made = self.kitchen.made(values)
        except RenderError as error:
            message = str(error)
        else:
            self.taken += 1
            return shape(made, self._known)
        assert message.isprintable()
        assert len(hidden) < 5 or hidden not in message
        return None

    def usual(self, key: str, path: str) -> list[Any]:
        """What is read with the value there is at `path`, or harmless ones."""
        texts = [self.values[path]] if path in self.values else []
        shapes = [
            self.shape({**self.values, path: text})
            for text in texts + self.kitchen.choices.get(key, HARMLESS)
        ]
        found = [one for one in shapes if one is not None]
        assert found, f"{path} is refused whatever it is, so that this test says nothing of it"
        return found


KEYS = {template: list(yaml.safe_load(stock_file(template, "confsync.yaml"))["keys"]) for template in STOCK}
WITH_NAMES = [template for template in STOCK if any(key.endswith("*") for key in KEYS[template])]
WITH_GROUPS = [template for template in STOCK if any("*/" in key for key in KEYS[template])]


@pytest.mark.parametrize("template", STOCK)
def test_no_value_changes_what_is_read(template: str, tmp_path: Path) -> None:
    tally = Tally(template, tmp_path)
    for key in KEYS[template]:
        path = place(key, tally.values)
        usual = tally.usual(key, path)
        for text in TEXTS:
            found = tally.shape({**tally.values, path: text}, hidden=text)

            assert found is None or found in usual, f"{path}: {text!r}"
    assert tally.taken > len(KEYS[template])


@pytest.mark.parametrize("template", WITH_NAMES)
def test_no_name_changes_what_is_read(template: str, tmp_path: Path) -> None:
    tally = Tally(template, tmp_path)
    for key in [key for key in KEYS[template] if key.endswith("*")]:
        at = place(key, tally.values)
        texts = tally.kitchen.choices.get(key, HARMLESS)
        value = next(text for text in texts if tally.shape({**tally.values, at: text}) is not None)
        wanted = tally.shape({**named(key, "tame", tally.values), at: value})
        for name in NAMES:
            at = place(key, tally.values, name)
            found = tally.shape({**named(key, name, tally.values), at: value})

            assert found in (None, wanted), f"{key}: {name!r}"


def named(key: str, name: str, values: Mapping[str, str]) -> dict[str, str]:
    """`values`, with what a key of this name needs: a route its servers."""
    return {**values, f"upstream/{name}/one": "10.0.0.1:80"} if key == "route/*" else dict(values)


@pytest.mark.parametrize("template", WITH_GROUPS)
def test_no_name_of_a_group_changes_what_is_read(template: str, tmp_path: Path) -> None:
    tally = Tally(template, tmp_path)
    for head in {head for key in KEYS[template] for head, star, _ in [key.partition("*/")] if star}:
        known = f"{head}{first_below(head, tally.values)}/"
        renamed = [
            {path.replace(known, f"{head}{name}/", 1): value for path, value in tally.values.items()}
            for name in ("tame", *NAMES)
        ]
        wanted, *found = map(tally.shape, renamed)

        assert wanted is not None
        assert [name for name, one in zip(NAMES, found, strict=True) if one not in (None, wanted)] == []
