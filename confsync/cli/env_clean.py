"""`confsync env --clean`: removes what `confsync env --out` wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from confsync.cli.options import Options

if TYPE_CHECKING:
    from confsync.environments.cleaning import Cleaned


def cleaned(options: Options, names: Sequence[str], *, expired: bool) -> int:
    """Remove, and say what was removed. Gives the exit status."""
    from confsync.cli.printing import complain, print_json
    from confsync.config.loading import find_config
    from confsync.environments.cleaning import Fate, clean
    from confsync.environments.output_file import place_of
    from confsync.environments.scratch import roots, sweep
    from confsync.environments.written import WrittenFiles, directory_for

    sweep(roots())
    files = WrittenFiles(directory_for(options.state_dir))
    complete = bool(names) or files.is_readable()
    if names:
        done = clean(files, paths=[place_of(name) for name in names], expired=expired)
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


def _document(one: Cleaned) -> dict[str, str | None]:
    return {"path": one.path, "environment": one.environment, "result": one.fate.value, "detail": one.detail}


def _print(done: Sequence[Cleaned]) -> None:
    from confsync.cli.printing import complain
    from confsync.environments.cleaning import Fate
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
