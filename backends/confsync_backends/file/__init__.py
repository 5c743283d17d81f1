"""Files and directories as a source: YAML, JSON, TOML, dotenv, and mounted ConfigMaps and Secrets.

    backend.py   options, read                      watch.py     from "something moved" to deltas
    scan.py      which files there are              observe.py   when to look again
    contents.py  files -> entries, all at once      places.py    which directories matter
    leaves.py    what a format gives: paths and values
    yaml_text.py, objects.py (JSON, TOML), dotenv.py

Nested maps are paths: `{db: {host: x}}` is `db/host`; a "/" in a map's key separates too. A scalar is the
text that was written (1.10 stays 1.10, dates stay as they are). A null is no key. A list is JSON text under
its own path, so that `.json(path)` gives the list. In a directory `db.yaml` holds `db/...`, and a file of no
known format is one key, its name, with its content as the value.
"""

from __future__ import annotations

from confsync_backends.file.backend import FileBackend, FileOptions

__all__ = ["FileBackend", "FileOptions"]
