"""The stock templates: their examples, and the real command run on what `confsync init` makes of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from confsync.cli.init import init
from confsync.clock import SystemClock
from confsync.config.models import Limits, Sync
from confsync.digest import Hasher
from confsync.driver import Entry
from confsync.render.formats.scalars import as_text
from confsync.render.library import TemplateFiles
from confsync.render.renderer import Renderer, RenderFailed, Rendering
from confsync.render.source_view import SourceView
from confsync.snapshot import Snapshot
from confsync.testing.prepared import prepared

STOCK = sorted(
    one.name for one in files("confsync_templates").iterdir() if one.joinpath("confsync.yaml").is_file()
)


def stock_file(template: str, name: str) -> str:
    """The text of a file of the library."""
    return files("confsync_templates").joinpath(template, name).read_text("utf-8")


def stock_templates(template: str) -> dict[str, str]:
    """Name -> text of the templates of one folder of the library."""
    folder = files("confsync_templates").joinpath(template)
    return {one.name: one.read_text("utf-8") for one in folder.iterdir() if one.name.endswith(".j2")}


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Nested values as a source has them: path -> text."""
    found: dict[str, str] = {}
    for name, value in values.items():
        found |= (
            flat(value, f"{before}{name}/")
            if isinstance(value, Mapping)
            else {f"{before}{name}": as_text(value)}
        )
    return found


@dataclass(frozen=True)
class Result:
    """How one call of the command ended."""

    status: int
    out: str
    err: str


class Started:
    """A directory that `confsync init --template` filled, and a state directory beside it."""

    def __init__(self, directory: Path, template: str) -> None:
        self.template = template
        self.root = directory / "project"
        self._state = directory / "state"
        self._home = directory
        begun = CliRunner().invoke(init, ["--template", template, str(self.root)], standalone_mode=False)
        assert begun.return_value == 0, begun

    def run(self, *arguments: str) -> Result:
        """`confsync ARGUMENTS` in the directory, to its end."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("CONFSYNC")}
        done = prepared().run(
            ["--state-dir", str(self._state), *arguments],
            cwd=self.root,
            env={**kept, "HOME": str(self._home), "NO_COLOR": "1"},
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str) -> Result:
        """`run`, which must succeed."""
        result = self.run(*arguments)
        assert result.status == 0, result
        return result

    def hostile(self, values: Mapping[str, Any]) -> None:
        """Other values, for the environment dev; and no types that would refuse them before the template does."""
        config = yaml.safe_load((self.root / "confsync.yaml").read_text("utf-8"))
        del config["keys"]
        (self.root / "confsync.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        text = yaml.safe_dump({"dev": dict(values), "prod": {}}, allow_unicode=True)
        (self.root / "values.yaml").write_text(text, encoding="utf-8")

    def made(self) -> dict[str, str]:
        """What was written: path -> content, of all that `init` did not write."""
        given = {"confsync.yaml", "values.yaml"}
        paths = [path for path in self.root.rglob("*") if path.is_file()]
        names = {str(path.relative_to(self.root)): path for path in paths}
        return {
            name: path.read_bytes().decode()
            for name, path in sorted(names.items())
            if name not in given and not name.startswith("templates/")
        }


class Kitchen:
    """Renders the syncs of one stock configuration.

    Args:
        source: the source's name, other than the templates call it.
    """

    def __init__(self, template: str, base: Path, source: str = "values") -> None:
        hasher = Hasher(b"k" * 32)
        self._renderer = Renderer(TemplateFiles([], hasher), base, hasher, SystemClock())
        self._base = f"{base}/"
        config = yaml.safe_load(stock_file(template, "confsync.yaml"))
        self._source = source
        self._syncs = {
            name: Sync.model_validate(sync if source == "values" else _renamed(sync, source))
            for name, sync in config["syncs"].items()
        }
        self.choices: dict[str, list[str]] = {
            key: said["one_of"] for key, said in config["keys"].items() if "one_of" in said
        }

    def made(self, values: Mapping[str, str]) -> list[tuple[str, str]]:
        """(path, content) of every file. Raises `RenderError`."""
        return [
            (one.spec.place.removeprefix(self._base), bytes(one.content).decode())  # type: ignore[arg-type]
            for rendering in self._rendered(values)
            for one in rendering.desired
        ]

    def asked(self, values: Mapping[str, str]) -> set[str]:
        """The paths that were looked up, or listed from: `upstream/*`."""
        found = [rendering.reads for rendering in self._rendered(values)]
        return {
            *(read.path for reads in found for read in (*reads.keys, *reads.missed)),
            *(f"{read.path}/*" for reads in found for read in reads.listed),
        }

    def _rendered(self, values: Mapping[str, str]) -> list[Rendering]:
        tree = {path: Entry(value.encode(), 1) for path, value in values.items()}
        view = Snapshot("values", 1, {"": tree}, 0.0).view([""])
        sources = {self._source: SourceView(self._source, view, lambda _: False)}
        try:
            return [
                self._renderer.render(name, sync, Limits(), sources, {}) for name, sync in self._syncs.items()
            ]
        except RenderFailed as failed:
            raise failed.error from None


def _renamed(sync: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The sync with its source under another name, as docs/stock-templates.md says it."""
    inline = f"{{% set values = {source} %}}{{% include '{sync['template']}' %}}"
    renamed = {**sync, "template": {"inline": inline}}
    if "for_each" in sync:
        renamed["for_each"] = sync["for_each"].replace("values", source)
    return renamed
