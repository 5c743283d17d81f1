"""`python -m confsync` and the `confsync` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with its status."""
    from confsync.cli.garbage import look_rarely

    look_rarely()
    from confsync.cli.main import cli

    cli()


if __name__ == "__main__":
    main()
