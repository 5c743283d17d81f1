"""The way of a request: sealed? whose namespace? which mount? which token? allowed? leased? wrapped?"""

from __future__ import annotations

import base64
import re
import secrets
import threading
import uuid
from dataclasses import replace
from typing import Any

from . import ids
from .answers import Answer, Refused, bad_token, denied
from .auth_token import TokenEngine
from .call import Call
from .clock import Clock
from .engines import make
from .leases import Leases
from .lifetime import Wish, granted
from .mounts import Mount, Namespace
from .quotas import Quotas
from .roles import named_policies, role_limits
from .system import SystemEngine
from .tokens import Token, Tokens
from .wrapping import Wrapping

VERSION = "1.8.0-dev"

_WHILE_SEALED = re.compile(r"sys/(health|seal-status|unseal|init|leader|host-info)/?")


class Core:
    """Everything a server knows. Any thread may call `answer`; a lock lets one through at a time.

    Args:
        clock: moved by tests.
        root_token: a token that may do everything and never expires.
    """

    def __init__(self, clock: Clock, root_token: str) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.tokens = Tokens(clock, self._token_ended)
        self.leases = Leases(clock)
        self.quotas = Quotas(clock)
        self.wrapping = Wrapping(self)
        self.entities: dict[tuple[str, str], str] = {}
        self.credentials: dict[str, str] = {}
        self.directory: dict[str, tuple[str, list[str]]] = {}
        self.batch_failure_status = 200
        self.unseal_key = base64.b64encode(secrets.token_bytes(32)).decode()
        self.sealed = False
        self.cluster_id, self.cluster_name = str(uuid.uuid4()), f"vault-cluster-{secrets.token_hex(4)}"
        self.version = VERSION
        self.namespaces: dict[str, Namespace] = {}
        self.root = self.add_namespace("")
        self.mount(self.root, Mount("secret/", "kv", {"version": "2"}, "key/value secret storage"))
        now = clock.now()
        self.tokens.add(
            Token(root_token, self.root, ["root"], now, "auth/token/root", "root", renewable=False)
        )

    def add_namespace(self, path: str) -> Namespace:
        """A new tree, with the mounts every namespace has."""
        namespace = self.namespaces[path] = Namespace(path)
        system = Mount(
            "sys/", "system", description="system endpoints used for control, policy and debugging"
        )
        token = Mount("auth/token/", "token", description="token based credentials")
        system.engine, token.engine = SystemEngine(self, system), TokenEngine(self, token)
        namespace.mounts |= {mount.path: mount for mount in (system, token)}
        return namespace

    def remove_namespace(self, path: str) -> None:
        """With all there is in it."""
        for name in [name for name in self.namespaces if name.startswith(path)]:
            namespace = self.namespaces.pop(name)
            self.tokens.revoke_from(namespace, "")

    def mount(self, namespace: Namespace, mount: Mount) -> None:
        """Raises Refused: 400 for an unknown type, or a path in use."""
        mount.engine = make(self, mount)
        namespace.add(mount)

    def answer(self, call: Call) -> Answer:
        """Answers one request.

        Raises:
            Refused: it was not granted.
        """
        with self.lock:
            return self._answer(call)

    def expire(self) -> None:
        """Ends every token and lease whose time has come; a sealed server ends nothing."""
        with self.lock:
            if not self.sealed:
                self.tokens.expire()
                self.leases.expire()

    def _answer(self, call: Call) -> Answer:
        if self.sealed and not _WHILE_SEALED.fullmatch(call.path):
            raise Refused(
                503, "error performing token check: Vault is sealed" if call.token else "Vault is sealed"
            )
        self.expire()
        call = self._placed(call)
        if not self.sealed:
            self.quotas.check(call.path, call.client)
        found = call.namespace.find(call.path)
        if found and _matches(found[0].engine.without_token, found[1]):
            mount, path = found
            return self._finish(call, mount, mount.engine.dispatch(call, path))
        return self._with_token(call, found)

    def _placed(self, call: Call) -> Call:
        """The longest namespace the header and the path begin with; what is left is the path."""
        whole = call.path
        names = [name for name in self.namespaces if whole.startswith(name)]
        name = max(names, key=len)
        return replace(call, namespace=self.namespaces[name], path=whole.removeprefix(name))

    def _with_token(self, call: Call, found: tuple[Mount, str] | None) -> Answer:
        call = replace(call, who=self._use(self.identified(call)))
        if call.operation == "update" and found and not found[0].engine.exists(found[1]):
            call = replace(call, operation="create")
        try:
            self.check(call, sudo=found is not None and _matches(found[0].engine.sudo, found[1]))
            if found is None:
                raise Refused(404, f"no handler for route '{call.path}'")
            mount, path = found
            return self._unless_used_up(call, self._finish(call, mount, mount.engine.dispatch(call, path)))
        finally:
            if _is_used_up(call.caller):
                self.tokens.revoke(call.caller)

    def identified(self, call: Call) -> Token:
        """Whose token it is.

        Raises:
            Refused: 400 without one, 403 when it is none or belongs to another namespace.
        """
        if not call.token:
            raise Refused(400, "missing client token")
        token = self.tokens.find(call.token)
        if token is None or not call.namespace.path.startswith(token.namespace.path):
            raise bad_token()
        return token

    def check(self, call: Call, *, sudo: bool = False) -> None:
        """Raises Refused: 403 when the caller's policies do not allow it."""
        acl = call.caller.namespace.acl(call.caller.policies)
        if not acl.allows(call.operation, call.namespace.path + call.path, sudo=sudo):
            raise denied()

    def _use(self, token: Token) -> Token:
        token.uses_left -= 1 if token.num_uses else 0
        return token

    def _unless_used_up(self, call: Call, answer: Answer) -> Answer:
        """The last use of a token ends its leases, so that a leased secret would be dead already."""
        if answer.lease_id and _is_used_up(call.caller):
            raise Refused(
                400,
                "Secret cannot be returned; token had one use left, so leased credentials were immediately revoked.",
            )
        return answer

    def _finish(self, call: Call, mount: Mount, answer: Answer) -> Answer:
        if answer.secret is not None:
            self.leases.register(answer, call.path.rstrip("/"), mount, call.caller)
        if call.wrap_ttl and answer.status == 200 and answer.wrap_info is None and answer.raw is None:
            return self.wrapping.wrap(answer, call)
        return answer

    def login(
        self,
        call: Call,
        mount: Mount,
        alias: str,
        role_name: str,
        role: dict[str, Any],
        meta: dict[str, str],
        display: str,
    ) -> Answer:
        """A token for somebody who proved to be `alias` of the mount.

        Args:
            role: the fields all roles have: token_policies, token_ttl, token_max_ttl, token_period, …
        """
        limits = role_limits(role)
        now = self.clock.now()
        wish = Wish(0, limits["ttl"], limits["max_ttl"], limits["explicit_max_ttl"], limits["period"])
        ttl, warnings = granted(
            replace(wish, mount_default=mount.default_ttl, mount_max=mount.max_ttl), now, now
        )
        kind = "batch" if role.get("token_type") in ("batch", "default-batch") else "service"
        token = Token(
            ids.token(call.namespace.id, kind),
            call.namespace,
            named_policies(role),
            now,
            call.path,
            display,
            meta,
            entity_id=self.entities.setdefault((mount.accessor, alias), str(uuid.uuid4())),
            creation_ttl=ttl,
            expires=now + ttl,
            num_uses=int(role.get("token_num_uses") or 0),
            uses_left=int(role.get("token_num_uses") or 0),
            mount_default=mount.default_ttl,
            mount_max=mount.max_ttl,
            role=role_name,
            type=kind,
            ttl=ttl,
            max_ttl=limits["max_ttl"],
            explicit_max_ttl=limits["explicit_max_ttl"],
            period=limits["period"],
        )
        self.tokens.add(token)
        return Answer(auth=token.auth(), warnings=warnings)

    def drop_credential(self, username: str) -> None:
        """A database user whose lease has ended can no longer log in."""
        self.credentials.pop(username, None)

    def _token_ended(self, token: Token) -> None:
        self.wrapping.forget(token)
        self.leases.revoke_of(token)


def _is_used_up(token: Token) -> bool:
    return bool(token.num_uses) and token.uses_left <= 0


def _matches(patterns: tuple[str, ...], path: str) -> bool:
    return any(re.fullmatch(pattern, path.rstrip("/")) for pattern in patterns)
