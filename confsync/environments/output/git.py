"""Whether git might carry a file away: git itself is asked, and in doubt the answer is yes.

Asked as documented in git-rev-parse(1), git-ls-files(1) and git-check-ignore(1), by exit status only. Variables such
as GIT_DIR, which a hook has and anybody may set, are taken away, so that the repository the file lies in answers;
where they name another one (as for files of a home directory kept in a bare repository), that one is asked too.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from confsync.errors import ConfsyncError
from confsync.text import printable

_PATIENCE = 10.0
_SPECIAL = re.compile(r"([\\*?\[])")


def check_unseen(path: str, environ: Mapping[str, str]) -> None:
    """Make sure that git neither tracks `path` nor would add it.

    Args:
        path: absolute, its directory without symbolic links.
        environ: this process's environment.

    Raises:
        ConfsyncError: it would, or that cannot be told; says what to do, such as the line for which .gitignore.
    """
    directory = os.path.dirname(path)
    if shutil.which("git", path=environ.get("PATH")) is None:
        if _repository_above(directory):
            raise _untold(path, "git is not installed")
        return
    clean = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
    _check_around(path, _Git(directory, {**clean, "GIT_DISCOVERY_ACROSS_FILESYSTEM": "1"}))
    if environ.get("GIT_DIR") or environ.get("GIT_WORK_TREE"):
        _check_named(path, _Git(None, environ))


def own_place(path: str, environ: Mapping[str, str]) -> str | None:
    """A path, for `path` alone, in the directory of the repository it lies in: what is beside that is no part of the
    work tree, so that git adds none of it whatever it ignores. None where there is no such repository.

    Args:
        path, environ: as for `check_unseen`.
    """
    clean = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
    around = _Git(os.path.dirname(path), {**clean, "GIT_DISCOVERY_ACROSS_FILESYSTEM": "1"})
    answer = around.ask("rev-parse", "--absolute-git-dir")
    named = _Git(None, environ)
    if answer.status != 0 and environ.get("GIT_DIR") and _is_in(path, named.top()):
        answer = named.ask("rev-parse", "--absolute-git-dir")
    if answer.status != 0 or not answer.printed:
        return None
    return os.path.join(answer.printed, f"env-{blake2b(os.fsencode(path), digest_size=8).hexdigest()}")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What git said. `status` is -1 where it could not be run; `complaint` is one line."""

    status: int
    printed: str = ""
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class _Git:
    """git, asked from a directory (None: where we are) and in an environment."""

    directory: str | None
    environ: Mapping[str, str]

    def ask(self, *arguments: str) -> _Answer:
        """Run it to its end."""
        # fsmonitor would run whatever the repository's configuration says.
        command = ["git", "-c", "core.fsmonitor=false", *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=self.directory,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _Answer(-1, complaint=f"git gave no answer within {_PATIENCE:g}s")
        except OSError as exc:
            return _Answer(-1, complaint=f"git cannot be run: {exc.strerror}")
        complaint = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        return _Answer(done.returncode, os.fsdecode(done.stdout.removesuffix(b"\n")), printable(complaint))

    def top(self) -> str:
        """The directory of the work tree."""
        return self.ask("rev-parse", "--show-toplevel").printed


def _check_around(path: str, git: _Git) -> None:
    """By the repository that `path` lies in, if there is one."""
    inside = git.ask("rev-parse", "--is-inside-work-tree")
    if inside.status != 0:
        if _repository_above(os.path.dirname(path)):
            raise _untold(path, inside.complaint)
        return
    if inside.printed != "true":
        raise ConfsyncError(
            f"{printable(path)}: is inside a directory that is git's own",
            hint="write to a file elsewhere; nothing was written",
        )
    _check_tracked(path, git)
    if not _is_ignored(path, git):
        raise _unignored(path, _line_to_add(path, git.top()))


def _check_named(path: str, git: _Git) -> None:
    """By the repository that the environment names, if `path` is in its work tree."""
    top = git.top()
    if not _is_in(path, top):
        return
    _check_tracked(path, git)
    if not _is_ignored(path, git):
        where = printable(top)
        raise _unignored(path, f"$GIT_DIR names a repository of {where} that would take it: unset GIT_DIR")


def _is_in(path: str, top: str) -> bool:
    return bool(top) and os.path.commonpath((path, top)) == top


def _check_tracked(path: str, git: _Git) -> None:
    # Where the filesystem ignores case, tracked.env is the file that git knows as Tracked.env.
    ignores_case = git.ask("config", "--type=bool", "--get", "core.ignorecase").printed == "true"
    magic = "literal,icase" if ignores_case else "literal"
    answer = git.ask("--no-literal-pathspecs", "ls-files", "-z", "--error-unmatch", "--", f":({magic}){path}")
    if answer.status == 0:
        directory = os.path.dirname(path)
        name = os.path.basename(answer.printed.partition("\0")[0]) or os.path.basename(path)
        command = shlex.join(("git", "-C", directory, "rm", "--cached", name))
        raise ConfsyncError(
            f"{printable(path)}: is tracked by git, and secrets would be written into it",
            hint=f"write to another file, or let git forget this one: {printable(command)}; nothing was written",
        )
    if answer.status != 1:
        raise _untold(path, answer.complaint)


def _is_ignored(path: str, git: _Git) -> bool:
    # Without the index, whose tracked files would be matched by a path with a "*" in it.
    answer = git.ask("check-ignore", "--no-index", "-q", "--", path)
    if answer.status not in (0, 1):
        raise _untold(path, answer.complaint)
    return answer.status == 0


def _line_to_add(path: str, top: str) -> str:
    """What makes git ignore `path`: a line at the end of the nearest .gitignore, which no other one overrules."""
    if not path.isprintable():
        return "no line of a .gitignore can name it: write to another file"
    home = os.path.dirname(path)
    while home not in (top, "/") and not os.path.exists(os.path.join(home, ".gitignore")):
        home = os.path.dirname(home)
    line = "/" + _SPECIAL.sub(r"\\\1", os.path.relpath(path, home))
    if line.endswith(" "):
        line = line[:-1] + "\\ "
    ignoring = os.path.join(home, ".gitignore")
    return f"let git ignore it: {_printing(line, ignoring)} >> {shlex.quote(ignoring)}"


def _printing(line: str, ignoring: str) -> str:
    """The command that prints the line, also where the file's last one has no end, and echo would read escapes."""
    try:
        with open(ignoring, "rb") as file:
            unended = not (file.read() or b"\n").endswith(b"\n")
    except OSError:
        unended = False
    if not unended and "\\" not in line:
        return f"echo {shlex.quote(line)}"
    form = r"\n%s\n" if unended else r"%s\n"
    return f"printf '{form}' {shlex.quote(line)}"


def _unignored(path: str, remedy: str) -> ConfsyncError:
    return ConfsyncError(
        f"{printable(path)}: is not ignored by git, and secrets would be written into it",
        hint=f"{remedy}; nothing was written",
    )


def _untold(path: str, trouble: str) -> ConfsyncError:
    return ConfsyncError(
        f"{printable(path)}: whether git would take it cannot be told: {trouble or 'git failed'}",
        hint="secrets are written only where git surely leaves them alone: mend that, or write outside of the "
        "repository",
    )


def _repository_above(directory: str) -> bool:
    while True:
        if os.path.lexists(os.path.join(directory, ".git")):
            return True
        if directory == os.path.dirname(directory):
            return False
        directory = os.path.dirname(directory)
