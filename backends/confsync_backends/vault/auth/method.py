"""What an auth method is: the options a user writes under `auth:`, and the login they lead to.

A method is one module with a subclass of `AuthMethod`, and one line in `options.py`. Most need nothing but a
`LoginMethod`: which path, which body, which credentials, and what to say when Vault refuses them.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from confsync.errors import Denied, Invalid, SourceError, Unavailable
from confsync.text import did_you_mean
from confsync_backends.vault.auth.credentials import Credential
from confsync_backends.vault.faults import Refused, TokenRejected

if TYPE_CHECKING:
    from confsync_backends.vault.calls import Calls


@dataclass(frozen=True, slots=True)
class Grant:
    """A token, and what Vault said of it.

    Attributes:
        token: the token itself; never shown by `repr`.
        ttl: seconds it lives from now on; 0 where it does not end, or may not be known.
        granted: seconds a renewal asks for: those it was first granted.
        renewable: whether auth/token/renew-self may prolong it.
        policies: the names of its policies, sorted.
        ours: whether a login of ours made it, so that it is ours to revoke.
        batch: whether it is a batch token, which can be neither renewed nor revoked.
    """

    token: str = field(repr=False)
    ttl: float
    granted: float
    renewable: bool
    policies: tuple[str, ...] = ()
    ours: bool = True
    batch: bool = False

    @classmethod
    def from_auth(cls, auth: Mapping[str, Any]) -> Grant:
        """From `auth` of a login's answer."""
        ttl = float(auth.get("lease_duration") or 0)
        return cls(
            token=str(auth["client_token"]),
            ttl=ttl,
            granted=ttl,
            renewable=bool(auth.get("renewable")),
            policies=policy_names(auth),
            batch=auth.get("token_type") == "batch",
        )

    @classmethod
    def from_lookup(cls, token: str, data: Mapping[str, Any]) -> Grant:
        """From what `look_up` gives."""
        ttl = float(data.get("ttl") or 0)
        return cls(
            token=token,
            ttl=ttl,
            granted=float(data.get("period") or data.get("creation_ttl") or ttl),
            renewable=bool(data.get("renewable")),
            policies=policy_names(data),
            ours=False,
            batch=data.get("type") == "batch",
        )


def policy_names(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """All policies a token has, by an answer about it: its own and those of who it stands for."""
    names = [*(answer.get("policies") or ()), *(answer.get("identity_policies") or ())]
    return tuple(sorted({str(name) for name in names}))


def look_up(calls: Calls, token: str, doing: str) -> Mapping[str, Any] | None:
    """What Vault says of a token: {} where it is alive but may not look itself up, None where it is dead.

    Raises:
        Denied, Invalid, Unavailable: nobody can tell now; see `Calls.request`.
    """
    try:
        reply = calls.request("GET", "auth/token/lookup-self", token=token, doing=doing)
    except TokenRejected:
        return {} if _is_alive(calls, token, doing) else None
    if reply.data is None:
        raise Unavailable(f"vault at {calls.address}: {doing}: its answer tells of no token")
    return reply.data


def _is_alive(calls: Calls, token: str, doing: str) -> bool:
    # No policy is asked for this, but a token that is sent along must be alive:
    # https://developer.hashicorp.com/vault/api-docs/system/internal-ui-mounts
    try:
        return calls.request("GET", "sys/internal/ui/mounts", token=token, doing=doing).data is not None
    except TokenRejected:
        return False


class Authenticator(ABC):
    """Gets tokens, by one method. The session sees to it that only one thread uses it at a time.

    Attributes:
        makes_tokens: whether each login makes a new token. If not, the token is kept elsewhere (a file), and is
            another one when the `stamp` is.
    """

    makes_tokens: bool = True

    @abstractmethod
    def login(self, calls: Calls) -> Grant:
        """Get a token. Credentials are read anew.

        Raises:
            Denied: the credentials cannot be had, or Vault refuses them. The message never shows them.
            Invalid: such a login can never work: no such auth method.
            Unavailable: Vault cannot tell now.
        """

    def for_looking(self) -> Authenticator:
        """The one to use in a process that only looks: its `login` uses up nothing, but raises Denied instead."""
        return self

    @abstractmethod
    def stamp(self) -> Hashable:
        """Another one when the credentials may have changed, so that trying again makes sense. Makes no calls."""


def _mount_path(path: str) -> str:
    trimmed = path.strip("/").removeprefix("auth/")
    if not trimmed or not trimmed.isprintable() or "//" in trimmed or ".." in trimmed.split("/"):
        raise ValueError(f"{path!r} is no mount path; write for example approle or team/approle")
    return trimmed


Mount = Annotated[str, Field(min_length=1), AfterValidator(_mount_path)]


class AuthMethod(BaseModel):
    """Base of a method's options. Subclasses have a field `method`, a literal: what the user writes to choose it.

    Class attributes:
        secrets: names a user might write a secret under -> the fields that say where it is kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    secrets: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def authenticator(self, base: Path) -> Authenticator:
        """What logs in by these options. Does no I/O.

        Args:
            base: the configuration's directory, which relative files are relative to.
        """

    def is_a_persons(self, base: Path) -> bool:  # noqa: ARG002
        """Whether people log in so, and what they log in with is here."""
        return False

    @property
    def takes_the_callers(self) -> bool:
        """Whether it may use the token in $VAULT_TOKEN or ~/.vault-token, without naming either."""
        return False

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, written: Any) -> Any:
        # pydantic's own complaint about an unknown field could neither teach where a secret goes, nor name the
        # fields of the right method.
        for name in written if isinstance(written, Mapping) else ():
            if name in cls.secrets:
                raise ValueError(
                    f"{name}: a secret does not stand in the configuration; write {cls.secrets[name]}"
                )
            if name not in cls.model_fields:
                near = did_you_mean(str(name), cls.model_fields)
                raise ValueError(f"method {written.get('method')} has no option {name!r}{near}")
        return written

    def _one_of(self, *names: str) -> Self:
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(names)}")
        return self


def kept(what: str, base: Path, file: str | None, env: str | None = None) -> Credential:
    """A credential in a file (`~` is the home directory; relative is relative to `base`) or in a variable."""
    # os.path leaves alone what it cannot expand, where a container's user has no home; pathlib raises.
    return Credential(what, None if file is None else base / os.path.expanduser(file), env)


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do when Vault refuses a login. Its words choose the advice, and nothing else.

    In the texts, `{mount}` is the method's mount, `{where}` is where the credentials are kept.

    Attributes:
        otherwise: what to do where Vault's words are not known; newer servers tell less than older ones.
        by_words: some words of a refusal -> what to do about it.
    """

    otherwise: str
    by_words: Mapping[str, str] = field(default_factory=dict)

    def upon(self, refusal: SourceError, *, mount: str, where: str) -> str | None:
        """What to do about a refusal; None where it is none, and Vault merely cannot tell now."""
        known = next((text for words, text in self.by_words.items() if words in refusal.message), None)
        if known is None and isinstance(refusal, Unavailable):
            return None
        return (known or self.otherwise).format(mount=mount, where=where)


class LoginMethod(AuthMethod):
    """A method that sends credentials to one path and gets a token.

    Class attributes:
        advice: what to do when Vault refuses them.
    """

    advice: ClassVar[Advice]

    mount: Mount

    def authenticator(self, base: Path) -> Authenticator:
        return _Sender(self, base)

    def path(self) -> str:
        """Where to log in."""
        return f"auth/{self.mount}/login"

    @abstractmethod
    def who(self) -> str:
        """Who logs in, for messages: `role 'web'`."""

    @abstractmethod
    def credentials(self, base: Path) -> tuple[Credential, ...]:
        """What is read for each login."""

    @abstractmethod
    def body(self, *credentials: str) -> dict[str, Any]:
        """What to send, from what the credentials were, in their order."""

    def read(self, credential: Credential) -> str:
        """One credential's value."""
        return credential.read()


class _Sender(Authenticator):
    def __init__(self, method: LoginMethod, base: Path) -> None:
        self._method = method
        self._credentials = method.credentials(base)

    def login(self, calls: Calls) -> Grant:
        method = self._method
        body = method.body(*(method.read(credential) for credential in self._credentials))
        kept_in = ", ".join(str(credential) for credential in self._credentials)
        with explained(method.path(), method.advice, method.mount, kept_in):
            return send_login(calls, method.path(), body, who=method.who())

    def stamp(self) -> Hashable:
        return tuple(credential.stamp() for credential in self._credentials)


def send_login(calls: Calls, path: str, body: Mapping[str, Any], *, who: str) -> Grant:
    """Log in by one call.

    Args:
        path: such as `auth/approle/login`.
        who: who logs in, for messages: `role 'web'`.

    Raises:
        Denied, Invalid, Unavailable: as `Authenticator.login`.
    """
    doing = f"logging in as {who} at {path}"
    reply = calls.request("POST", path, token=None, body=body, doing=doing)
    if reply.auth is None:
        raise _no_such_method(f"vault at {calls.address}: {doing}", path)
    if not reply.auth.get("client_token"):
        raise Denied(
            f"vault at {calls.address}: {doing}: Vault wants a second factor, which nobody is there to give",
            hint="exempt this login from MFA (vault list identity/mfa/login-enforcement)",
        )
    return Grant.from_auth(reply.auth)


@contextmanager
def explained(path: str, advice: Advice, mount: str, where: str) -> Iterator[None]:
    """Makes Vault's refusal of a login say what to do about it. `where` is where the credentials are kept.

    Raises:
        Denied: Vault refused the credentials.
        Invalid: there is no such auth method.
    """
    try:
        yield
    except (Denied, Refused, Unavailable) as refused:
        # A login needs no token, so where one is wanted there is no auth method.
        if "missing client token" in refused.message:
            raise _no_such_method(refused.message, path) from refused
        # Some methods answer 500 to credentials they refuse, so their words must tell it from a failure.
        hint = advice.upon(refused, mount=mount, where=where)
        if hint is None:
            raise
        if "permission denied" in refused.message:  # what newer servers say instead of "missing client token"
            hint = f"{hint}; and that vault auth list shows {mount}/"
        hint = hint if isinstance(refused, Unavailable) else refused.hint or hint
        raise Denied(refused.message, key=path, hint=hint) from refused


def _no_such_method(message: str, path: str) -> Invalid:
    mount = path.removeprefix("auth/").partition("/login")[0]
    return Invalid(
        f"{message}: there is no such auth method",
        key=path,
        hint=f"set auth.mount, {mount!r} now, to a path that vault auth list shows, without auth/",
    )
