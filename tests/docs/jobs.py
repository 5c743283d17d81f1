"""Runs the jobs of GitHub Actions and GitLab CI that a page shows, as their runners do, in a directory.

Only what the page uses is known, and anything else is an error: `run` steps, artifacts, `env`, `if` with one
comparison, expressions that name a thing, `$GITHUB_ENV`, `$GITHUB_OUTPUT`, `$GITHUB_STEP_SUMMARY`, masks; `script`,
`id_tokens`, artifacts, dotenv reports, allowed exit codes. No command has a terminal, or anything to read.

- https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax (`bash -e` where no shell is said)
- https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands (files, masks)
- https://docs.gitlab.com/ci/yaml/ (scripts, artifacts, allow_failure, id_tokens)
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

_EXPRESSION = re.compile(r"\$\{\{ ([\w.]+) \}\}")
_PATIENCE = 120.0


@dataclass
class Job:
    """A job that has ended.

    Attributes:
        status: of the command that ended it, 0 where all went well, None where it was not run at all.
        warning: whether that status is one that GitLab lets pass.
        log: what its commands have printed, before anything is masked.
        outputs: what later jobs get of it.
        summary: what GitHub shows of it.
    """

    status: int | None = 0
    warning: bool = False
    log: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""

    @property
    def shown(self) -> str:
        """The log as people see it on GitHub: each mask counts from where it is said."""
        masks: list[str] = []
        lines = []
        for line in self.log.splitlines():
            if line.startswith("::add-mask::"):
                masks.append(_unescaped(line.removeprefix("::add-mask::")))
            else:
                lines.append(reduce(lambda text, mask: text.replace(mask, "***"), masks, line))
        return "\n".join(lines)


class _Runner:
    """A checkout, with commands that find these variables."""

    def __init__(self, checkout: Path, environment: Mapping[str, str]) -> None:
        self.checkout = checkout
        self._environment = {**environment, "CI": "true"}

    def _run(self, words: Sequence[str], job: Job, environment: Mapping[str, str]) -> None:
        done = subprocess.run(
            words, cwd=self.checkout, env={**self._environment, **environment}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_PATIENCE, start_new_session=True,
        )  # fmt: skip
        job.log += done.stdout
        job.status = done.returncode


class GitHub(_Runner):
    """GitHub Actions.

    Args:
        id_token: the variables of a job that may ask for a token.

    Attributes:
        context: what expressions name: `secrets.X`, `github.token`.
    """

    def __init__(
        self,
        checkout: Path,
        environment: Mapping[str, str],
        context: Mapping[str, str],
        id_token: Mapping[str, str],
    ) -> None:
        super().__init__(checkout, environment)
        self.context = dict(context)
        self._id_token = id_token
        self._artifacts: dict[str, tuple[str, bytes]] = {}

    def run(self, workflow: Mapping[str, Any], name: str, **needed: Job) -> Job:
        """Run a job; `needed` are those before it."""
        described = workflow["jobs"][name]
        assert set(described) <= {"runs-on", "steps", "needs", "if", "outputs", "environment"}
        assert set(needed) == {one for one in [described.get("needs")] if one}
        context = self.context | {
            f"needs.{one}.outputs.{key}": value
            for one, job in needed.items()
            for key, value in job.outputs.items()
        }
        job = Job()
        if any(one.status != 0 for one in needed.values()) or not _holds(described.get("if"), context):
            job.status = None
            return job
        may_ask = workflow["permissions"].get("id-token") == "write"
        given = {**(self._id_token if may_ask else {}), **workflow.get("env", {})}
        files = _GitHubFiles(self.checkout.parent / f"github-{name}")
        for step in described["steps"]:
            self._step(step, job, files, given, context)
            if job.status:
                break
            context |= files.outputs_of(step.get("id"))
        job.summary = files.summary.read_text()
        job.outputs = {key: _filled(text, context) for key, text in described.get("outputs", {}).items()}
        return job

    def _step(
        self,
        step: Mapping[str, Any],
        job: Job,
        files: _GitHubFiles,
        given: Mapping[str, str],
        context: Mapping[str, str],
    ) -> None:
        assert set(step) <= {"uses", "with", "run", "env", "id"}
        if "uses" in step:
            self._action(step["uses"].partition("@")[0], step.get("with", {}))
            return
        variables = {**given, **files.environment(), **step.get("env", {})}
        filled = {key: _filled(text, context) for key, text in variables.items()}
        script = files.script(_filled(step["run"], context))
        self._run(["bash", "-e", str(script)], job, {**filled, **files.variables()})

    def _action(self, action: str, options: Mapping[str, str]) -> None:
        match action:
            case "actions/checkout":
                pass  # it is there
            case "actions/upload-artifact":
                kept = self.checkout / options["path"]
                self._artifacts[options["name"]] = (options["path"], kept.read_bytes())
                kept.unlink()
            case "actions/download-artifact":
                path, content = self._artifacts[options["name"]]
                (self.checkout / path).write_bytes(content)
            case other:
                raise AssertionError(f"no stand-in for {other}")


class GitLab(_Runner):
    """GitLab CI.

    Args:
        variables: the project's.
        token: makes an id token for an audience.
    """

    def __init__(
        self,
        checkout: Path,
        environment: Mapping[str, str],
        variables: Mapping[str, str],
        token: Callable[[str], str],
    ) -> None:
        super().__init__(checkout, {**environment, **variables})
        self._token = token

    def run(self, pipeline: Mapping[str, Any], name: str, *before: Job) -> Job:
        """Run a job; `before` are those whose artifacts it gets."""
        described, default = pipeline[name], pipeline["default"]
        assert set(described) <= {
            "stage", "rules", "script", "allow_failure", "artifacts", "tags", "resource_group", "before_script",
            "environment", "needs",
        }  # fmt: skip
        assert described["stage"] in pipeline["stages"]
        variables = dict(pipeline["variables"])
        variables |= {key: self._token(said["aud"]) for key, said in default["id_tokens"].items()}
        for one in before:
            variables |= one.outputs
        lines = [*described.get("before_script", default["before_script"]), *described["script"]]
        job = Job()
        self._run(["bash", "-c", "\n".join(["set -eo pipefail", *lines])], job, variables)
        job.warning = job.status == described.get("allow_failure", {}).get("exit_codes")
        self._keep(described.get("artifacts", {}), job)
        return job

    def _keep(self, wanted: Mapping[str, Any], job: Job) -> None:
        assert set(wanted) <= {"when", "paths", "expose_as", "access", "reports"}
        if job.status and wanted.get("when") != "always":
            return
        there = all((self.checkout / path).is_file() for path in wanted.get("paths", ()))
        assert there or not (job.status == 0 or job.warning)  # else GitLab warns, and goes on
        report = wanted.get("reports", {}).get("dotenv")
        if report:
            job.outputs = _assignments((self.checkout / report).read_text())


class _GitHubFiles:
    """The files by which the steps of one job tell the runner something."""

    def __init__(self, directory: Path) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        self.summary = directory / "summary"
        self._env, self._output, self._script = directory / "env", directory / "output", directory / "script"
        for path in (self.summary, self._env, self._output):
            path.touch()

    def variables(self) -> dict[str, str]:
        return {
            "GITHUB_ENV": str(self._env),
            "GITHUB_OUTPUT": str(self._output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
        }

    def script(self, command: str) -> Path:
        self._script.write_text(command)
        return self._script

    def environment(self) -> dict[str, str]:
        return _assignments(self._env.read_text())

    def outputs_of(self, step: str | None) -> dict[str, str]:
        """What the step has said, as expressions name it."""
        said = _assignments(self._output.read_text())
        self._output.write_text("")
        return {f"steps.{step}.outputs.{key}": value for key, value in said.items()}


def _assignments(text: str) -> dict[str, str]:
    """`NAME=value`, and of GitHub's `NAME<<END`, the lines of a value, and `END`."""
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        if several := re.fullmatch(r"(\w+)<<(\S+)", line):
            found[several[1]] = "\n".join(_until(several[2], lines))
            continue
        name, equals, value = line.partition("=")
        assert equals, f"the runner cannot read {line!r}"
        found[name] = value
    return found


def _until(end: str, lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line == end:
            return
        yield line
    raise AssertionError(f"no {end}")


def _filled(text: str, context: Mapping[str, str]) -> str:
    """With what expressions name; what a step has not said is empty, as on GitHub."""
    return _EXPRESSION.sub(
        lambda found: context.get(found[1], "") if found[1].startswith("steps.") else context[found[1]],
        str(text),
    )


def _holds(condition: str | None, context: Mapping[str, str]) -> bool:
    if condition is None:
        return True
    left, equals, right = condition.partition(" == ")
    assert equals, f"no stand-in for {condition!r}"
    return context[left] == (right.strip("'") if right.startswith("'") else context[right])


def _unescaped(mask: str) -> str:
    return mask.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
