"""`python -m confsync` and the `confsync` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        from confsync.cli.interrupts import end_at_once

        end_at_once()
        from confsync.cli.garbage import look_rarely

        look_rarely()
        from confsync.cli.main import cli

        cli()
    except KeyboardInterrupt:  # before, or while, it was seen to
        from confsync.cli.interrupts import end

        end()


if __name__ == "__main__":
    main()
