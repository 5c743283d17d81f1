"""Every way of keeping keys in files keeps the contract."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import tomli_w
import yaml

from confsync.testing.contract import BackendContract, Harness
from confsync_backends.file import FileBackend, FileOptions, watch


def clean(key):
    return key.strip("/")


class OneFile(Harness):
    """All keys flat in one file, replaced by rename."""

    name = "values.yaml"

    def __init__(self, directory):
        self.path = directory / self.name
        self.keys = {}
        self.save()

    def open(self):
        return FileBackend.open(FileOptions(path=self.name), self.path.parent)

    def open_broken(self):
        return FileBackend.open(FileOptions(path="absent/" + self.name), self.path.parent)

    def put(self, key, value):
        self.change({key: value})

    def delete(self, key):
        self.change({}, [key])

    def change(self, puts, deletes=()):
        self.keys.update({clean(key): value for key, value in puts.items()})
        for key in deletes:
            del self.keys[clean(key)]
        self.save()

    def save(self):
        staged = self.path.with_name(".staged")
        staged.write_bytes(self.text().encode())
        staged.replace(self.path)

    def text(self):
        return yaml.safe_dump(self.keys, allow_unicode=True)


class NestedYaml(OneFile):
    """Nested maps, written in place."""

    def text(self):
        tree = {}
        for key, value in self.keys.items():
            *above, name = key.split("/")
            node = tree
            for step in above:
                node = node.setdefault(step, {})
            node[name] = value
        return yaml.safe_dump(tree)

    def save(self):
        self.path.write_text(self.text())


class Json(OneFile):
    name = "values.json"

    def text(self):
        return json.dumps({key: value.decode() for key, value in self.keys.items()})


class Toml(OneFile):
    name = "values.toml"

    def text(self):
        return tomli_w.dumps({key: value.decode() for key, value in self.keys.items()})


class Dotenv(OneFile):
    name = ".env"
    odd_paths = (
        "ünï/cödé☃",
        "a/../b",
        "per%20cent",
        "a.b-c_d:e@f?h",
        "$HOME",
        "back\\slash",
        "UPPER/lower",
        "0",
    )

    def text(self):
        lines = []
        for key, value in self.keys.items():
            quoted = value.decode().replace("\\", "\\\\").replace('"', '\\"')
            lines.append(f'{key}="{quoted}"\n')
        return "".join(lines)


class Directory(OneFile):
    """One file for each key."""

    name = "values"
    atomic = False
    odd_paths = (
        "with space",
        "ünï/cödé ☃",
        "quotes'\"`",
        "per%20cent",
        "a.b-c_d:e@f#g?h",
        "UPPER/lower",
        "0",
    )

    def __init__(self, directory):
        self.path = directory / self.name
        self.path.mkdir()

    def change(self, puts, deletes=()):
        for key, value in puts.items():
            file = self.path / clean(key)
            file.parent.mkdir(parents=True, exist_ok=True)
            staged = file.with_name(".staged")
            staged.write_bytes(value)
            staged.replace(file)
        for key in deletes:
            (self.path / clean(key)).unlink()


class ConfigMap(Directory):
    """A mounted ConfigMap: everything a link through `..data`, which is switched."""

    atomic = True

    def __init__(self, directory):
        super().__init__(directory)
        self.keys = {}
        self.version = 0
        self.change({})

    def change(self, puts, deletes=()):
        self.keys.update({clean(key): value for key, value in puts.items()})
        for key in deletes:
            del self.keys[clean(key)]
        old, self.version = f"..v{self.version}", self.version + 1
        new = self.path / f"..v{self.version}"
        new.mkdir()
        for key, value in self.keys.items():
            (new / key).parent.mkdir(parents=True, exist_ok=True)
            (new / key).write_bytes(value)
        (self.path / "..data_tmp").symlink_to(new.name)
        (self.path / "..data_tmp").replace(self.path / "..data")
        for name in {key.split("/")[0] for key in self.keys}:
            if not os.path.lexists(self.path / name):
                (self.path / name).symlink_to(f"..data/{name}")
        shutil.rmtree(self.path / old, ignore_errors=True)


class _FileContract(BackendContract):
    @pytest.fixture(autouse=True)
    def _patient(self, monkeypatch):
        """However slow the machine is, a file that is just being written is not taken for empty or malformed."""
        monkeypatch.setattr(watch, "_GRACE", 30.0)
        monkeypatch.setattr(watch, "_PATIENCE", 60.0)

    @pytest.fixture
    def harness(self, request, tmp_path):
        return self.kind(tmp_path)


class TestFlatYaml(_FileContract):
    kind = OneFile


class TestNestedYaml(_FileContract):
    kind = NestedYaml


class TestJson(_FileContract):
    kind = Json


class TestToml(_FileContract):
    kind = Toml


class TestDotenv(_FileContract):
    kind = Dotenv


class TestDirectory(_FileContract):
    kind = Directory


class TestConfigMap(_FileContract):
    kind = ConfigMap


class Polled(OneFile):
    def open(self):
        return FileBackend.open(FileOptions(path=self.name, poll="20ms"), Path(self.path.parent))


class TestPolled(_FileContract):
    kind = Polled
