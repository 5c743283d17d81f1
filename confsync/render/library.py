"""Where templates come from: the configured directories in order, then the stock library; each with its digest."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, BytecodeCache, Environment, FileSystemBytecodeCache, PackageLoader, Template
from jinja2.exceptions import TemplateNotFound

from confsync import __version__
from confsync.digest import Hasher
from confsync.errors import RenderError
from confsync.render.recorder import current
from confsync.render.sandbox import Sandbox

_COMPILED_KEPT = (
    128  # a compiled template holds about 30 kB; loading one from the bytecode cache takes 0.4 ms
)
_LARGEST = 8 * 1024**2


class TemplateFiles:
    """Finds and reads template files, and remembers their digests until their size or times change. Thread-safe."""

    def __init__(self, directories: Sequence[Path], hasher: Hasher) -> None:
        self.directories = tuple(str(directory) for directory in directories)
        self._hasher = hasher
        self._digests: dict[str, tuple[tuple[int, int, int], str]] = {}
        self._stock: dict[str, str] = {}
        self._lock = threading.Lock()

    def read(self, name: str) -> tuple[str, str]:
        """The template's text and the file it is in.

        Raises:
            TemplateNotFound: no directory has it, nor has the stock library.
            RenderError: it is there and cannot be read.
        """
        path = self._find(name)
        if path is None:
            return _stock_text(name), f"stock:{name}"
        try:
            if os.stat(path).st_size > _LARGEST:
                raise RenderError(f"larger than {_LARGEST // 1024**2} MiB", where=path)
            with open(path, encoding="utf-8") as file:
                return file.read(), path
        except UnicodeDecodeError as exc:
            raise RenderError(f"is not UTF-8 text (byte {exc.start})", where=path) from exc
        except OSError as exc:
            raise RenderError(f"cannot be read: {exc.strerror}", where=path) from exc

    def digest(self, name: str) -> str | None:
        """The digest of the template's text as it is now, or None when there is none."""
        path = self._find(name)
        if path is None:
            return self._stock_digest(name)
        try:
            status = os.stat(path)
        except OSError:
            return None
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._digests.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            text, _ = self.read(name)
        except (RenderError, TemplateNotFound):
            return None
        digest = self._hasher.parts("template", text)
        with self._lock:
            self._digests[path] = (stamp, digest)
        return digest

    def _stock_digest(self, name: str) -> str | None:
        if name not in self._stock:
            try:
                self._stock[name] = self._hasher.parts("template", _stock_text(name))
            except TemplateNotFound:
                return None
        return self._stock[name]

    def names(self) -> list[str]:
        """Every template there is, sorted."""
        found = {
            str(p.relative_to(d))
            for d in map(Path, self.directories)
            if d.is_dir()
            for p in d.rglob("*")
            if p.is_file()
        }
        return sorted(found | {name for name in _stock().list_templates() if name.endswith(".j2")})

    def _find(self, name: str) -> str | None:
        if os.path.isabs(name) or ".." in name.split("/") or "\0" in name:
            raise RenderError(
                f"{name!r}: a template is named relative to the template directories, without '..'"
            )
        for directory in self.directories:
            path = f"{directory}/{name}"
            if os.path.isfile(path):
                return path
        return None


@cache
def _stock() -> PackageLoader:
    return PackageLoader("confsync_templates", "")


def _stock_text(name: str) -> str:
    if not name.endswith(".j2"):
        raise TemplateNotFound(name)
    with_environment = Environment(autoescape=False)  # noqa: S701 - only read, never rendered
    return _stock().get_source(with_environment, name)[0]


class _Loader(BaseLoader):
    def __init__(self, files: TemplateFiles) -> None:
        self._files = files

    def get_source(
        self,
        environment: Environment,  # noqa: ARG002 - as Jinja calls it
        template: str,
    ) -> tuple[str, str | None, Callable[[], bool]]:
        text, path = self._files.read(template)
        digest = self._files.digest(template)
        return text, path, lambda: self._files.digest(template) == digest


class TemplateEnvironment(Sandbox):
    """The sandbox with the template files behind it; tells the render in progress which of them it uses."""

    def __init__(self, files: TemplateFiles, bytecode: Path | None) -> None:
        super().__init__(
            loader=_Loader(files), bytecode_cache=_bytecode_cache(bytecode), cache_size=_COMPILED_KEPT
        )
        self.files = files

    def _load_template(self, name: str, globals: Any) -> Template:  # noqa: A002 - Jinja's own name
        recorder = current()
        if recorder is not None and name not in recorder.templates:
            recorder.templates[name] = self.files.digest(name) or ""
        return super()._load_template(name, globals)


def _bytecode_cache(directory: Path | None) -> BytecodeCache | None:
    """Compiled templates on disk: compiling takes ten times as long as loading. The directory is ours alone."""
    if directory is None:
        return None
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
    except OSError:
        return None  # only slower
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        return None  # bytecode runs: never take it from where others can write
    # What a compiled template calls is ours, and may be another thing in another version.
    return FileSystemBytecodeCache(str(directory), f"confsync-{__version__}-%s")
