"""What the operating system's errors mean for a target, and what to do about them."""

from __future__ import annotations

import errno

from confsync.errors import SinkError
from confsync.sinks.ownership import whoami
from confsync.text import printable

_KEEPS = "the target keeps its old content"

_MEANING: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the filesystem is full", f"free some space or inodes on it; {_KEEPS}"),
    errno.EDQUOT: ("the disk quota is used up", f"free some space or raise the quota; {_KEEPS}"),
    errno.EROFS: ("the filesystem is read-only", "mount it writable, or choose another path"),
    errno.ENOENT: ("its directory does not exist", "create it, or set `parents: true` on the target"),
    errno.ENOTDIR: ("a part of its path is not a directory", "correct `path`, or move that file away"),
    errno.ENAMETOOLONG: (
        "the name is too long for the filesystem",
        "shorten `path`; a name may have 255 bytes",
    ),
    errno.ELOOP: ("symbolic links in its path form a loop", "mend the links, or name the real path"),
    errno.EISDIR: ("it is a directory", "correct `path`, or move the directory away"),
    errno.EMFILE: ("this process has too many open files", "raise its limit (ulimit -n)"),
    errno.EBUSY: ("something is mounted there", "write to another path, or unmount it"),
    errno.EIO: (
        "the disk reports an input/output error",
        "look at the kernel's log: the disk may be failing",
    ),
}


def sink_error(target: str, doing: str, error: OSError, *, hint: str | None = None) -> SinkError:
    """The error to raise (`from error`) where the system refused `doing`, such as "cannot be read"."""
    if error.errno in (errno.EACCES, errno.EPERM):
        why, advice = f"not permitted as {whoami()}", _permission_hint(error)
    else:
        why, advice = _MEANING.get(error.errno or 0, ((error.strerror or type(error).__name__).lower(), ""))
    return SinkError(target, f"{doing}: {why}", hint=hint or advice or None)


def target_name(kind: str, path: str) -> str:
    """A target's identity, safe to print."""
    return f"{kind}:{printable(path)}"


def _permission_hint(error: OSError) -> str:
    if error.errno == errno.EPERM:
        return "the file or directory may be immutable (lsattr), sticky, or held by a security module"
    return "give this user write and search permission on the directory, or run confsync as another"
