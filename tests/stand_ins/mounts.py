"""A fixture that mounts; a module has it by importing it by name."""

from __future__ import annotations

import os
import subprocess

import pytest


@pytest.fixture
def mount():
    """Mount something for the length of a test."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    points = []

    def mount(*arguments):
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"mount is not permitted: {done.stderr.strip()}")
        if "remount" not in " ".join(arguments):
            points.append(arguments[-1])

    yield mount
    for point in reversed(points):
        subprocess.run(["umount", "-l", point], capture_output=True)  # a test may have done so itself
