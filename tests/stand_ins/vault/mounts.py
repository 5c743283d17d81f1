"""Where engines are mounted, and the namespaces that have mounts, logins and policies of their own."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import ids, policies
from .answers import Answer, Json, Refused
from .durations import DEFAULT_TTL, MAX_TTL, seconds
from .routing import Routed

if TYPE_CHECKING:
    from .core import Core


class Engine(Routed):
    """What answers below a mount.

    Attributes:
        without_token: regexes of paths, below the mount, that need no token.
        sudo: those that need the sudo capability.
    """

    without_token: tuple[str, ...] = ()
    sudo: tuple[str, ...] = ()

    def __init__(self, core: Core, mount: Mount) -> None:
        self.core = core
        self.mount = mount

    def collections(self) -> dict[str, Collection[str]]:
        """By the prefix of their paths, those things of which a first write is a create and not an update."""
        return {}

    def exists(self, path: str) -> bool:
        """Whether a write would be an update; so it is where the engine makes no difference."""
        kind, _, name = path.rstrip("/").partition("/")
        known = self.collections().get(kind)
        return known is None or name in known

    def role_limits(self, token_role: str) -> dict[str, Any] | None:
        """For a login engine: ttl, max_ttl and period that a renewal of the role's tokens obeys."""
        return None

    def close(self) -> None:
        """The mount is gone."""


@dataclass
class Mount:
    """One mounted engine.

    Attributes:
        path: with a slash at its end; a login engine's begins with auth/.
    """

    path: str
    type: str
    options: dict[str, str] | None = None
    description: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    engine: Engine = None  # type: ignore[assignment]  # made right after, as it must know its mount
    accessor: str = ""

    def __post_init__(self) -> None:
        kind = f"auth_{self.type}" if self.path.startswith("auth/") else self.type
        self.accessor = self.accessor or ids.accessor(kind)

    @property
    def default_ttl(self) -> float:
        return seconds(self.config.get("default_lease_ttl")) or DEFAULT_TTL

    @property
    def max_ttl(self) -> float:
        return seconds(self.config.get("max_lease_ttl")) or MAX_TTL

    def info(self) -> Json:
        """As sys/mounts and its like show it."""
        config: Json = {
            "default_lease_ttl": int(seconds(self.config.get("default_lease_ttl"))),
            "force_no_cache": False,
            "max_lease_ttl": int(seconds(self.config.get("max_lease_ttl"))),
        }
        if self.path.startswith("auth/"):
            config["token_type"] = "default-service"
        return {
            "accessor": self.accessor,
            "config": config,
            "description": self.description,
            "external_entropy_access": False,
            "local": self.type == "cubbyhole",
            "options": self.options,
            "seal_wrap": False,
            "type": self.type,
            "uuid": self.uuid,
        }


class Namespace:
    """One tree of mounts and policies; the root namespace's path is "".

    Attributes:
        path: "" or with a slash at its end.
        id: "" for the root namespace; what its tokens and leases end in.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.id = "" if not path else ids.letters(5)
        self.uuid = str(uuid.uuid4())
        self.mounts: dict[str, Mount] = {}
        self.policies: dict[str, str] = {
            "default": policies.DEFAULT,
            "response-wrapping": policies.RESPONSE_WRAPPING,
        }

    def find(self, path: str) -> tuple[Mount, str] | None:
        """The mount that answers for a path, and the path below it."""
        for mount_path in sorted(self.mounts, key=len, reverse=True):
            if path.startswith(mount_path):
                return self.mounts[mount_path], path.removeprefix(mount_path)
            if path + "/" == mount_path:
                return self.mounts[mount_path], ""
        return None

    def add(self, mount: Mount) -> None:
        """Raises Refused: 400 when the path is in use, or below a path that is."""
        if mount.path in self.mounts:
            raise Refused(400, f"path is already in use at {mount.path.removeprefix('auth/')}")
        for taken in self.mounts:
            if mount.path.startswith(taken) or taken.startswith(mount.path):
                raise Refused(400, f"existing mount at {taken}")
        self.mounts[mount.path] = mount

    def acl(self, names: list[str]) -> policies.Acl:
        """What these policies of this namespace allow; those that do not exist allow nothing."""
        if "root" in names:
            return policies.Acl([], root=True)
        texts = (self.policies.get(name, "") for name in names)
        rules = (rule for text in texts for rule in policies.parse(text))
        return policies.Acl(policies.Rule(self.path + rule.path, rule.capabilities) for rule in rules)


def listing(names: Any) -> Answer:
    """The answer to a list; Vault answers 404 to an empty one."""
    keys = sorted(names)
    if not keys:
        raise Refused(404)
    return Answer(data={"keys": keys})


def children(keys: Any, prefix: str) -> set[str]:
    """The names directly below `prefix`; those that have more below them end in a slash."""
    found = set()
    for key in keys:
        if key.startswith(prefix) and key != prefix:
            head, slash, _ = key.removeprefix(prefix).partition("/")
            found.add(head + slash)
    return found
