"""The project keeps its own house in order: what the pages say is so, and what is shipped is what is here."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import confsync
from confsync.cli.main import COMMANDS
from confsync.source.registry import backend_names, load_backend

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "packaging/README.md")),
        *ROOT.glob("docs/**/*.md"),
    ]
)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def targets_of_makefile() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", text_of("Makefile"), re.MULTILINE))


def test_the_code_under_test_is_the_checkout_or_the_wheel_as_was_asked_for() -> None:
    # Tests that pass on the checkout while one believes to test the wheel prove nothing.
    place = Path(confsync.__file__).resolve()
    if os.environ.get("CONFSYNC_TEST_WHEEL"):
        assert "site-packages" in place.parts
        for name in backend_names():
            assert load_backend(name)
    else:
        assert place.is_relative_to(ROOT)


def test_the_installed_version_is_the_packages_version() -> None:
    assert metadata.version("confsync") == confsync.__version__


def test_the_changelog_has_the_version_or_what_is_unreleased() -> None:
    assert re.search(
        rf"^## \[({re.escape(confsync.__version__)}|Unreleased)\]", text_of("CHANGELOG.md"), re.MULTILINE
    )


@pytest.mark.parametrize("folder", ["packaging", "docs", "tests", "backends", "templates", "bench"])
def test_a_folder_that_is_no_package_has_no_init(folder: str) -> None:
    # packaging/__init__.py would hide the library of that name from whatever runs in the checkout.
    assert not (ROOT / folder / "__init__.py").exists()


def test_the_readme_begins_with_two_commands_that_the_makefile_has() -> None:
    first = re.search(r"```sh\n(.*?)```", text_of("README.md"), re.DOTALL)
    assert first is not None
    commands = re.findall(r"^make ([a-z-]+)", first[1], re.MULTILINE)
    assert commands == ["demo", "test"]
    assert set(commands) <= targets_of_makefile()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_command_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", page.read_text("utf-8"), re.MULTILINE)
    assert {one or other for one, other in named} <= targets_of_makefile()


def test_make_can_say_what_it_would_do_for_every_target() -> None:
    for target in ("demo", "test", "lint", "types", "bench", "docs", "wheel", "wheel-test"):
        done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_what_continuous_integration_runs_begins_with_the_readmes_test_command() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    made = re.findall(r"^make ([a-z-]+)", script.read_text("utf-8"), re.MULTILINE)
    assert made[0] == "test"
    assert set(made) == {"test", "lint", "types", "wheel-test"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme_and_in_the_reference(command: str) -> None:
    assert f"`confsync {command}" in text_of("README.md")
    assert f"## confsync {command}\n" in text_of("docs/reference/commands.md")


def test_every_folder_is_in_the_readmes_map() -> None:
    for folder in ("backends", "templates", "packaging", "tests", "docs", "bench"):
        assert f"`{folder}/`" in text_of("README.md")


def test_every_backend_is_documented() -> None:
    for name in backend_names():
        if load_backend(name).__module__.startswith("confsync_backends"):
            assert f"## `{name}`" in text_of("docs/backends.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        found = page.parent / file if file else page
        assert found.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors_of(found), f"{page.name}: {target}"


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_public_page_names_no_place_of_somebodys_machine(page: Path) -> None:
    text = page.read_text("utf-8")
    assert not re.search(r"/(work|root)/|/home/(?!you\b)|/Users/", text)


def test_decisions_are_numbered_without_gaps_and_begin_with_an_example() -> None:
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for page in pages:
        title, _, rest = page.read_text("utf-8").partition("\n\n")
        assert title.startswith(f"# {int(page.name[:4])}. ")
        assert rest.startswith("```"), f"{page.name} begins with words instead of an example"


def test_every_client_library_is_an_extra() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    assert "etcd" in project["optional-dependencies"]
    always = {re.split(r"[<>=\[ ]", one)[0] for one in project["dependencies"]}
    assert not always & {"etcd-sdk-python", "grpcio", "protobuf"}
