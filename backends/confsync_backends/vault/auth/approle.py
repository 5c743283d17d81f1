"""A role-id and a secret-id log in: for machines that are given their credentials, best wrapped.

A wrapped secret-id is a token that gives the secret-id once. Who finds it spent knows that somebody else has the
secret-id: https://developer.hashicorp.com/vault/docs/concepts/response-wrapping#response-wrapping-token-validation
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from confsync.errors import Denied, Unavailable
from confsync.text import printable
from confsync_backends.vault.auth.credentials import Credential
from confsync_backends.vault.auth.method import (
    Advice,
    Authenticator,
    AuthMethod,
    Grant,
    Mount,
    explained,
    kept,
    send_login,
)
from confsync_backends.vault.auth.token import VARIABLE, TokenAuth
from confsync_backends.vault.faults import Refused, TokenRejected

if TYPE_CHECKING:
    from confsync_backends.vault.calls import Calls

_ISSUE = "issue another: vault write -f auth/{mount}/role/ROLE/secret-id"
_ADVICE = Advice(
    "check the role-id; {where} may be wrong, used up (secret_id_num_uses) or have ended (secret_id_ttl): "
    + _ISSUE,
    {
        "invalid role ID": "set auth.role_id to what vault read auth/{mount}/role/ROLE/role-id says",
        "invalid secret id": "{where} is wrong, used up (secret_id_num_uses) or has ended (secret_id_ttl): "
        + _ISSUE,
        "missing secret_id": "the role wants a secret-id: set secret_id_file, secret_id_env or wrapped_secret_id_file",
    },
)
_SECRET_ID = "secret_id_file: PATH, secret_id_env: NAME or wrapped_secret_id_file: PATH"  # noqa: S105 - field names


class AppRoleAuth(AuthMethod):
    """Log in with a role-id and a secret-id."""

    secrets: ClassVar = dict.fromkeys(("secret_id", "wrapped_secret_id", "password", "token"), _SECRET_ID)

    method: Literal["approle"]
    role_id: Annotated[str | None, Field(min_length=1, description="The role-id, which is no secret.")] = None
    role_id_file: Annotated[str | None, Field(min_length=1, description="File that holds the role-id.")] = (
        None
    )
    secret_id_file: Annotated[
        str | None,
        Field(min_length=1, description="File that holds the secret-id; read again at every login."),
    ] = None
    secret_id_env: Annotated[
        str | None, Field(min_length=1, description="Environment variable that holds the secret-id.")
    ] = None
    wrapped_secret_id_file: Annotated[
        str | None,
        Field(
            min_length=1,
            description="File that holds a response-wrapping token of the secret-id. It is unwrapped once, when a "
            "login first needs it; the secret-id is then kept in memory only.",
        ),
    ] = None
    mount: Annotated[Mount, Field(description="Where the method is mounted, below auth/.")] = "approle"

    @model_validator(mode="after")
    def _has_both_ids(self) -> Self:
        if self.secret_id_file or self.secret_id_env or self.wrapped_secret_id_file:
            self._one_of("secret_id_file", "secret_id_env", "wrapped_secret_id_file")
        return self._one_of("role_id", "role_id_file")

    def authenticator(self, base: Path) -> Authenticator:
        return _AppRole(self, base)

    @property
    def takes_the_callers(self) -> bool:
        return self.wrapped_secret_id_file is not None  # see `_AppRole.for_looking`


class _AppRole(Authenticator):
    def __init__(self, options: AppRoleAuth, base: Path) -> None:
        self._options = options
        self._base = base
        self._role_id = kept("role-id", base, options.role_id_file) if options.role_id_file else None
        self._secret_id = (
            kept("secret-id", base, options.secret_id_file, options.secret_id_env)
            if options.secret_id_file or options.secret_id_env
            else None
        )
        wrapped = options.wrapped_secret_id_file
        self._wrapped = Wrapped(kept("wrapped secret-id", base, wrapped), options.mount) if wrapped else None

    def login(self, calls: Calls) -> Grant:
        mount = self._options.mount
        body = {"role_id": self._options.role_id if self._role_id is None else self._role_id.read()}
        secret_id = self._read_secret_id(calls)
        if secret_id is not None:
            body["secret_id"] = secret_id
        path = f"auth/{mount}/login"
        with explained(path, _ADVICE, mount, self._where()):
            return send_login(calls, path, body, who="an AppRole")

    def for_looking(self) -> Authenticator:
        if self._wrapped is None:
            return self
        if os.environ.get(VARIABLE):
            return TokenAuth(env=VARIABLE).authenticator(self._base)
        self._wrapped.opens = False
        return self

    def stamp(self) -> Hashable:
        wrapped = None if self._wrapped is None else self._wrapped.credential
        kept_in = (self._role_id, self._secret_id, wrapped)
        return tuple(credential.stamp() for credential in kept_in if credential is not None)

    def _read_secret_id(self, calls: Calls) -> str | None:
        if self._wrapped is not None:
            return self._wrapped.secret_id(calls)
        return None if self._secret_id is None else self._secret_id.read()

    def _where(self) -> str:
        credential = self._wrapped.credential if self._wrapped is not None else self._secret_id
        return "the secret-id" if credential is None else f"the secret-id from {credential}"


class Wrapped:
    """A secret-id behind a wrapping token, which is unwrapped once.

    Whatever was found wrong with a wrapping token is found once: until another one is put in its place, the same
    error is raised without a call. One thread at a time.

    Attributes:
        credential: where the wrapping token is kept.
        opens: whether it may be unwrapped; not by a process that only looks, for the next one would find it spent.
    """

    def __init__(self, credential: Credential, mount: str) -> None:
        self.credential = credential
        self.opens = True
        self._mount = mount
        self._made_at = re.compile(rf"(.+/)?auth/{re.escape(mount)}/role/[^/]+/(custom-)?secret-id")
        self._token: str | None = None  # the wrapping token that the rest is about
        self._secret_id: str | None = None
        self._wrong: Denied | None = None
        self._unanswered = False  # an unwrap of ours got no answer, and may have spent it

    def secret_id(self, calls: Calls) -> str:
        """The secret-id, unwrapped when first asked for.

        Raises:
            Denied: there is no wrapping token, it is spent, or it was not made for a secret-id of this mount; or this
                process only looks.
            Unavailable: Vault cannot tell now.
        """
        if not self.opens:
            raise Denied(
                f"the secret-id in {self.credential} is wrapped and opens once; only apply and run open it",
                hint=f"to look, log in with a token of your own: set {VARIABLE}",
            )
        self._read_anew()
        if self._secret_id is not None:
            return self._secret_id
        if self._wrong is not None:
            raise Denied(self._wrong.message, hint=self._wrong.hint)
        try:
            self._check_origin(calls)
            self._secret_id = self._unwrap(calls)
        except Denied as wrong:
            self._wrong = wrong
            raise
        return self._secret_id

    def _read_anew(self) -> None:
        try:
            token = self.credential.read_token()
        except Denied:
            if self._secret_id is not None:
                return  # spent wrapping tokens are often tidied away
            raise
        if token != self._token:
            self._token, self._secret_id, self._wrong, self._unanswered = token, None, None, False

    def _check_origin(self, calls: Calls) -> None:
        doing = f"looking up the wrapping token in {self.credential}"
        try:
            reply = calls.request(
                "POST", "sys/wrapping/lookup", token=None, body={"token": self._token}, doing=doing
            )
        except (Refused, TokenRejected) as refused:
            raise self._spent() from refused
        origin = str((reply.data or {}).get("creation_path", ""))
        if self._made_at.fullmatch(origin) is None:
            raise Denied(
                f"the wrapping token in {self.credential} was made at {printable(origin)!r}, not at "
                f"'auth/{self._mount}/role/ROLE/secret-id': somebody may have put it there in place of yours",
                hint=f"it was not unwrapped; find out who did, and {self._issue_another()}",
            )

    def _unwrap(self, calls: Calls) -> str:
        doing = f"unwrapping the secret-id in {self.credential}"
        try:
            reply = calls.request("POST", "sys/wrapping/unwrap", token=self._token, body={}, doing=doing)
        except (Refused, TokenRejected) as refused:
            raise self._spent() from refused
        except Unavailable:
            self._unanswered = True
            raise
        secret_id = (reply.data or {}).get("secret_id")
        if not secret_id:
            raise Denied(f"{doing}: there is no secret-id in it", hint=self._issue_another())
        return str(secret_id)

    def _spent(self) -> Denied:
        if self._unanswered:
            return Denied(
                f"the wrapping token in {self.credential} is spent: it was unwrapped, but Vault's answer got lost",
                hint=f"if that was not us, somebody else has the secret-id: revoke it; {self._issue_another()}",
            )
        return Denied(
            f"the wrapping token in {self.credential} is spent, or has ended: if it was not used by an earlier run "
            "of confsync, somebody else has unwrapped it, and has the secret-id",
            hint=f"revoke that secret-id, and {self._issue_another()}",
        )

    def _issue_another(self) -> str:
        return f"issue another: vault write -wrap-ttl=10m -f auth/{self._mount}/role/ROLE/secret-id"
