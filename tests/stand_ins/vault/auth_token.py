"""auth/token: tokens made from tokens."""

from __future__ import annotations

from typing import Any

from . import ids
from .answers import Answer, Refused, beyond_the_stand_in, denied, no_content, wrapped_error
from .call import Call, as_list
from .durations import DEFAULT_TTL, MAX_TTL, seconds
from .lifetime import Wish, granted
from .mounts import Engine, listing
from .routing import route
from .tokens import Token


class TokenEngine(Engine):
    sudo = ("create-orphan", "revoke-orphan", "accessors")

    @route("write", "create")
    def create(self, call: Call) -> Answer:
        return self._create(call, orphan=bool(call.body.get("no_parent")))

    @route("write", "create-orphan")
    def create_orphan(self, call: Call) -> Answer:
        return self._create(call, orphan=True)

    @route("read", "lookup-self")
    def lookup_self(self, call: Call) -> Answer:
        return Answer(data=call.caller.lookup(self.core.clock.now()))

    @route("write", "lookup")
    def lookup(self, call: Call) -> Answer:
        token = self.core.tokens.find(str(call.body.get("token") or call.token))
        if token is None:
            raise Refused(403, "bad token")
        return Answer(data=token.lookup(self.core.clock.now()))

    @route("write", "lookup-accessor")
    def lookup_accessor(self, call: Call) -> Answer:
        token = self._by_accessor(call)
        return Answer(data=token.lookup(self.core.clock.now(), by_accessor=True))

    @route("write", "renew-self")
    def renew_self(self, call: Call) -> Answer:
        return self._renew(call.caller, call)

    @route("write", "renew")
    def renew(self, call: Call) -> Answer:
        token = self.core.tokens.find(str(call.required("token", "missing token ID")))
        if token is None:
            raise Refused(400, "token not found")
        return self._renew(token, call)

    @route("write", "renew-accessor")
    def renew_accessor(self, call: Call) -> Answer:
        return self._renew(self._by_accessor(call), call)

    @route("write", "revoke-self")
    def revoke_self(self, call: Call) -> Answer:
        _check_revocable(call.caller)
        self.core.tokens.revoke(call.caller)
        return no_content()

    @route("write", "revoke")
    def revoke(self, call: Call) -> Answer:
        return self._revoke(call, keep_children=False)

    @route("write", "revoke-orphan")
    def revoke_orphan(self, call: Call) -> Answer:
        return self._revoke(call, keep_children=True)

    @route("write", "revoke-accessor")
    def revoke_accessor(self, call: Call) -> Answer:
        self.core.tokens.revoke(self._by_accessor(call))
        return no_content()

    @route("list", "accessors")
    def accessors(self, call: Call) -> Answer:
        return listing(self.core.tokens.accessors())

    def _by_accessor(self, call: Call) -> Token:
        token = self.core.tokens.by_accessor(str(call.required("accessor", "missing accessor")))
        if token is None:
            raise Refused(403, wrapped_error("invalid accessor"))
        return token

    def _revoke(self, call: Call, *, keep_children: bool) -> Answer:
        token = self.core.tokens.find(str(call.required("token", "missing token ID")))
        if token is None and keep_children:
            raise Refused(400, "token to revoke not found")
        if token is not None:
            _check_revocable(token)
            self.core.tokens.revoke(token, keep_children=keep_children)
        return no_content()

    def _renew(self, token: Token, call: Call) -> Answer:
        role = self._role(token)
        warnings = self.core.tokens.renew(token, seconds(call.body.get("increment")), role)
        return Answer(auth=token.auth(), warnings=warnings)

    def _role(self, token: Token) -> dict[str, Any] | None:
        found = token.namespace.find(token.path)
        return found[0].engine.role_limits(token.role) if found and token.role else None

    def _create(self, call: Call, *, orphan: bool) -> Answer:
        if call.caller.type == "batch":
            raise Refused(400, "batch tokens cannot create more tokens")
        parent = call.caller
        powerful = parent.namespace.acl(parent.policies).allows("update", "auth/token/create", sudo=True)
        for name in ("id", "period", "no_parent"):
            if call.body.get(name) and not powerful:
                raise Refused(400, "root or sudo privileges required to " + _NEEDS_SUDO[name])
        policies, warnings = self._policies(call, parent, powerful=powerful)
        token = self._made(call, policies, None if orphan else parent.id, warnings)
        self.core.tokens.add(token)
        return Answer(auth=token.auth(), warnings=warnings)

    def _policies(self, call: Call, parent: Token, *, powerful: bool) -> tuple[list[str], list[str]]:
        asked = {name.lower() for name in as_list(call.body.get("policies"))} or set(parent.policies)
        if not powerful and not asked <= {*parent.policies, "default"}:
            raise Refused(400, "child policies must be subset of parent")
        if "root" in asked and "root" not in parent.policies:
            raise denied()
        if "root" not in asked and not call.body.get("no_default_policy"):
            asked.add("default")
        unknown = sorted(asked - {"root", *call.namespace.policies})
        return sorted(asked), [f'Policy "{name}" does not exist' for name in unknown]

    def _made(self, call: Call, policies: list[str], parent: str | None, warnings: list[str]) -> Token:
        body, now = call.body, self.core.clock.now()
        asked, period = seconds(body.get("ttl")), seconds(body.get("period"))
        explicit = seconds(body.get("explicit_max_ttl"))
        forever = "root" in policies and not asked and not period
        ttl = 0.0
        if not forever:
            wish = Wish(asked, 0, 0, explicit, period, DEFAULT_TTL, MAX_TTL)
            ttl, capped = granted(wish, now, now)
            warnings += capped
        kind, name = str(body.get("type") or "service"), body.get("display_name")
        if kind == "batch" and (explicit or period or body.get("num_uses") or "root" in policies):
            raise beyond_the_stand_in(
                "what no batch token can be: periodic, of few uses, root, of a longest life"
            )
        return Token(
            str(body.get("id") or ids.token(call.namespace.id, kind)),
            call.namespace,
            policies,
            now,
            call.path,
            f"token-{name}" if name else "token",
            body.get("meta"),
            parent,
            renewable=not forever and body.get("renewable", True) not in (False, "false"),
            ttl=ttl,
            creation_ttl=ttl,
            explicit_max_ttl=explicit,
            period=period,
            num_uses=int(body.get("num_uses") or 0),
            uses_left=int(body.get("num_uses") or 0),
            expires=None if forever else now + ttl,
            mount_default=DEFAULT_TTL,
            mount_max=MAX_TTL,
            type=kind,
        )


def _check_revocable(token: Token) -> None:
    if token.type == "batch":
        raise Refused(400, "batch tokens cannot be revoked")


_NEEDS_SUDO = {
    "id": "specify token id",
    "period": "create periodic token",
    "no_parent": "create orphan token",
}
