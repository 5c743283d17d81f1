"""A token made by somebody else: in a variable, or in a file such as Vault Agent's sink."""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from confsync.errors import Denied
from confsync_backends.vault.auth.credentials import Credential
from confsync_backends.vault.auth.method import Authenticator, AuthMethod, Grant, kept, look_up

if TYPE_CHECKING:
    from confsync_backends.vault.calls import Calls

VARIABLE = "VAULT_TOKEN"
FILE = "~/.vault-token"
_WHERE = "env: NAME or file: PATH (or neither: $VAULT_TOKEN, or else ~/.vault-token)"


class TokenAuth(AuthMethod):
    """Use a token that is there already. It is renewed while it is renewable, and never revoked."""

    secrets: ClassVar = {"token": _WHERE, "value": _WHERE}

    method: Literal["token"] = "token"
    env: Annotated[
        str | None,
        Field(min_length=1, description="Environment variable that holds it. Default: VAULT_TOKEN."),
    ] = None
    file: Annotated[
        str | None,
        Field(
            min_length=1,
            description="File that holds it, read again when it changes. Default, where $VAULT_TOKEN is not set: "
            "~/.vault-token.",
        ),
    ] = None

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if self.env is not None and self.file is not None:
            raise ValueError("give env or file, not both")
        return self

    def authenticator(self, base: Path) -> Authenticator:
        return _GivenToken(self, base)

    def is_a_persons(self, base: Path) -> bool:
        return not self.takes_the_callers and self.credential(base).is_here()

    @property
    def takes_the_callers(self) -> bool:
        return self.env is None and self.file is None

    def credential(self, base: Path) -> Credential:
        """Where the token is now."""
        if self.env is None and (self.file is not None or not os.environ.get(VARIABLE)):
            return kept("token", base, self.file or FILE)
        return kept("token", base, None, self.env or VARIABLE)


class _GivenToken(Authenticator):
    makes_tokens: bool = False

    def __init__(self, options: TokenAuth, base: Path) -> None:
        self._options = options
        self._base = base

    def login(self, calls: Calls) -> Grant:
        credential = self._options.credential(self._base)
        token = self._read(credential)
        doing = f"looking up the token from {credential}"
        data = look_up(calls, token, doing)
        if data is None:
            raise Denied(
                f"vault at {calls.address}: {doing}: it is not accepted: it is wrong, has ended or was revoked",
                hint="put another one in its place; a file is read again when it changes",
            )
        return Grant.from_lookup(token, data)

    def _read(self, credential: Credential) -> str:
        try:
            return credential.read_token()
        except Denied as refused:
            if self._options.file is not None or self._options.env is not None:
                raise
            raise Denied(
                f"{refused.message}, and ${VARIABLE} is not set",
                hint="say how to log in with auth: {method: …}, or give a token in one of these places",
            ) from refused

    def stamp(self) -> Hashable:
        credential = self._options.credential(self._base)
        return str(credential), credential.stamp()
