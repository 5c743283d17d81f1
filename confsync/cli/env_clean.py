"""`confsync env --clean`: removes what `confsync env --out` wrote."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from confsync.cli.options import Options

if TYPE_CHECKING:
    from confsync.environments.output.cleaning import Cleaned
    from confsync.environments.output.written import WrittenFiles


def cleaned(options: Options, names: Sequence[str], *, expired: bool) -> int:
    """Remove, and say what was removed. Gives the exit status."""
    from confsync.cli.printing import complain, print_json
    from confsync.config.loading import find_config
    from confsync.environments.execution.scratch import roots, sweep
    from confsync.environments.output.cleaning import Fate, clean
    from confsync.environments.output.place import place_of
    from confsync.environments.output.written import WrittenFiles, directory_for

    sweep(roots())
    files = WrittenFiles(directory_for(options.state_dir))
    complete = bool(names) or files.is_readable()
    if names:
        _refuse_environments(options, files, names)
        done = _clean_named(files, [place_of(name) for name in names], expired=expired)
    elif expired:
        done = clean(files, expired=True)
    else:
        # Its content does not matter: what was written is removed whatever became of the configuration.
        done = clean(files, config=place_of(str(find_config(options.config))))
    if options.as_json:
        print_json([_document(one) for one in done])
    else:
        _print(done)
    if not complete:
        complain(
            f"{files.path}: is not, or not all, a list of written files, so that there may be more of them "
            "(name them: confsync env --clean FILE; the next env --out begins the list anew)"
        )
    return 0 if complete and all(one.fate is not Fate.FAILED for one in done) else 1


def _refuse_environments(options: Options, files: WrittenFiles, names: Sequence[str]) -> None:
    """Raise `ConfigError` where an environment is named in place of a file."""
    from confsync.config.loading import find_config, load_config
    from confsync.environments.output.place import place_of
    from confsync.errors import ConfigError, ConfsyncError
    from confsync.text import printable

    nowhere = [name for name in names if not os.path.lexists(name) and files.of(place_of(name)) is None]
    if not nowhere:
        return
    try:
        known = load_config(find_config(options.config)).config.environments
    except ConfsyncError:
        return  # what was written is removed whatever became of the configuration
    for name in nowhere:
        if name in known:
            raise ConfigError(
                f"--clean takes names of files, and {printable(name)} is an environment",
                hint="confsync env --clean removes all that was written",
            )


def _clean_named(files: WrittenFiles, paths: Sequence[str], *, expired: bool) -> tuple[Cleaned, ...]:
    """Clean these files, by their marks alone where the list cannot be used."""
    from confsync.cli.printing import complain
    from confsync.environments.output.cleaning import clean
    from confsync.environments.output.written import WrittenFiles
    from confsync.errors import LedgerError

    try:
        return clean(files, paths=paths, expired=expired)
    except LedgerError as exc:
        if expired:
            raise
        complain(f"{exc}; only blocks between confsync's marks are removed")
        return clean(WrittenFiles(None), paths=paths)


def _document(one: Cleaned) -> dict[str, str | None]:
    return {"path": one.path, "environment": one.environment, "result": one.fate.value, "detail": one.detail}


def _print(done: Sequence[Cleaned]) -> None:
    from confsync.cli.printing import complain
    from confsync.environments.output.cleaning import Fate
    from confsync.text import printable

    for one in done:
        if one.fate is Fate.FAILED:
            complain(one.detail)
            continue
        of = f" of {printable(one.environment)}" if one.environment else ""
        detail = f": {one.detail}" if one.detail else ""
        click.echo(f"{printable(one.path)}{of}: {one.fate.value}{detail}")
    if not done:
        click.echo("nothing to remove")
