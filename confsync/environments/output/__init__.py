"""Variables in a file among somebody's own lines: merged, kept from git, listed, and taken out again."""
