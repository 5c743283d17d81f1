"""A person's laptop: a file called `values` that holds no secrets, a store of secrets called `vault`, and a policy.

from stand_ins.laptop import laptop

    laptop.put("db", password="…")
    laptop.configure(local={"prod": {"deny": ["vault:db"]}})
    laptop.collect("prod").held_back

`stocked` is one with keys and secrets, each value of which begins with `REAL`; `opened` is its core, all of it read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from confsync.clock import SystemClock
from confsync.config.loading import LoadedConfig, load_config
from confsync.config.local import LocalPolicy
from confsync.config.models import Sync
from confsync.environments.policy import Policy
from confsync.environments.variables import Collected, collect
from confsync.environments.variables.selection import Selection
from confsync.ledger.ledger import memory_ledger
from confsync.reconcile.core import Core
from confsync.render.renderer import RenderFailed
from confsync.snapshot import View
from confsync.testing.memory_secrets import forget_secrets, shared_secrets

REAL = "canary-of-"


class Laptop:
    """A configuration with the environments dev and prod, and what its stores hold.

    Attributes:
        store: what is behind `vault`; prod's secrets are below `kv/prod`, dev's below `kv/dev`.
        document: the configuration, to be changed before `configure`.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = str(directory)
        self.store = shared_secrets(self.name)
        self.ledger = memory_ledger(SystemClock())
        self.document: dict[str, Any] = {
            "sources": {
                "values": {"backend": "file", "path": "values.yaml"},
                "vault": {"backend": "secrets", "name": self.name, "sensitive": True},
            },
            "environments": {
                "dev": {"values": "dev", "vault": "kv/dev"},
                "prod": {"values": "prod", "vault": "kv/prod"},
            },
        }
        self.values(prod={"db/host": "db.prod", "api/url": "http://api"}, dev={"db/host": "db.dev"})
        self.configure()

    def values(self, file: str = "values.yaml", **environments: Mapping[str, Any]) -> None:
        """What the file has for each environment, by path."""
        (self.directory / file).write_text(
            yaml.safe_dump({name: _nested(keys) for name, keys in environments.items()})
        )

    def put(self, path: str, environment: str = "prod", /, **fields: Any) -> None:
        """Write a secret."""
        self.store.put(f"kv/{environment}/{path}", fields)

    def configure(self, **sections: Any) -> None:
        """Write the configuration, with these sections besides."""
        document = {**self.document, **sections}
        (self.directory / "confsync.yaml").write_text(yaml.safe_dump(document, sort_keys=False))

    @contextmanager
    def core(self, environment: str = "prod", **options: Any) -> Iterator[Core]:
        """The configuration's services, as for a person who only looks; its sources are not read yet."""
        options = {"looking": True, "personal": True, **options}
        loaded = load_config(self.directory / "confsync.yaml")
        core = Core.open(loaded, self.ledger, environments=(environment,), **options)
        try:
            yield core
        finally:
            core.close()

    def collect(
        self, environment: str = "prod", *prefixes: str, fetching: bool = False, **more: Any
    ) -> Collected:
        """What the environment comes down to."""
        with self.core(environment, looking=not fetching) as core:
            policy = Policy(core.loaded, core.hub, environment)
            return collect(core, environment, policy, Selection(prefixes, **more), fetching=fetching)

    def variables(self, environment: str = "prod", *prefixes: str, **more: Any) -> dict[str, str]:
        """The variables alone."""
        return {one.name: one.value for one in self.collect(environment, *prefixes, **more).variables}

    def text(self, template: str, environment: str = "prod") -> str:
        """What an inline template makes of what the policy lets down; raises the error itself."""
        with self.core(environment, looking=False) as core:
            core.hub.refresh()
            return rendered(core, Policy(core.loaded, core.hub, environment), template)


def policy_of(core: Core, **rules: Any) -> Policy:
    """A policy for prod that need not be in the configuration."""
    local = {"prod": LocalPolicy.model_validate(rules)}
    config = core.loaded.config.model_copy(update={"local": local})
    return Policy(LoadedConfig(config, core.loaded.files), core.hub, "prod")


def view_of(core: Core, policy: Policy, source: str) -> View:
    """What the policy shows of a source."""
    return policy.view(source, core.hub.view(source, "prod"))


def rendered(core: Core, policy: Policy, template: str) -> str:
    """As `Laptop.text`, with a core that is open and a policy that need not be in its configuration."""
    sync = Sync.model_validate({"template": {"inline": template}, "to": "/out"})
    try:
        made = core.renderer.render(
            "app", sync, core.limits_of(sync), policy.sources(core, looking=False), {}
        )
    except RenderFailed as failed:
        raise failed.error from failed
    content = made.desired[0].content
    assert isinstance(content, bytes)
    return content.decode()


def _nested(keys: Mapping[str, Any]) -> dict[str, Any]:
    """`{"db/host": 1}` as the file has it: `{"db": {"host": 1}}`."""
    found: dict[str, Any] = {}
    for path, value in keys.items():
        *above, last = path.split("/")
        place = found
        for step in above:
            place = place.setdefault(step, {})
        place[last] = value
    return found


@pytest.fixture
def laptop(tmp_path: Path, memory_secrets: Path) -> Iterator[Laptop]:
    """A directory and a store of its own; the store's driver is found as an installed one is."""
    laptop = Laptop(tmp_path)
    yield laptop
    laptop.ledger.close()
    forget_secrets(laptop.name)


@pytest.fixture
def stocked(laptop: Laptop) -> Laptop:
    """Keys and secrets in prod, in a layer below it, in dev, and beside them all."""
    laptop.document["environments"] = {
        "dev": {"values": "dev", "vault": "kv/dev"},
        "prod": {"values": ["prod", "common"], "vault": ["kv/prod", "kv/common"]},
    }
    laptop.configure()
    laptop.values(
        prod={key: f"{REAL}prod-{key}" for key in ("db/host", "db/port", "api/url", "a[0]")},
        common={
            "db/host": f"{REAL}common-db/host",
            "shared": f"{REAL}common-shared",
            "cipher": laptop.store.encrypt("transit/app", f"{REAL}plain".encode()),
        },
        dev={"db/host": f"{REAL}dev-db/host"},
    )
    for place in ("prod", "dev", "common"):
        for secret in ("db", "team/db", "payment", "north#pw", "a b"):
            data = {field: f"{REAL}{place}-{secret}-{field}" for field in ("password", "user", "card#no")}
            laptop.store.put(f"kv/{place}/{secret}", data)
    laptop.store.put("elsewhere/smtp", {"password": f"{REAL}smtp"})
    return laptop


@pytest.fixture
def opened(stocked: Laptop) -> Iterator[Core]:
    """All of it, open and read."""
    with stocked.core("prod", looking=False) as core:
        core.hub.refresh()
        yield core
