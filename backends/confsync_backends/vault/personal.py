"""Vault for whoever calls: what `vault` itself would use here, in place of a login made for machines.

A configuration made for machines says how a pod logs in, and where a pod reaches Vault. A person has a token, in
$VAULT_TOKEN or in ~/.vault-token, where `vault login` leaves it, and knows Vault as $VAULT_ADDR.

- A token that is found takes the place of the configured login, with one exception: what a person would configure
  (userpass, ldap, token with env or file), where its password or token is here. It stays, and all options with it.
- Who and where belong together. $VAULT_ADDR takes the place of the address, and of all that is written about the
  connection to it (certificates, proxy, verify): the other variables say that then, or nothing does. Without
  $VAULT_ADDR the token goes to the configured address, and each variable takes the place of what it stands for.
- One token is for one Vault. Where the sources are at several addresses, the token goes to the one that is
  $VAULT_ADDR, and to no other.
- Where nothing is found, the options stay: a machine's login works where its credentials are.
- The namespace that is written stays: it says which secrets, not who asks.

Token helpers (~/.vault) are not asked: `export VAULT_TOKEN=$(vault print token)` does that.

https://developer.hashicorp.com/vault/docs/commands#configure-environment-variables
https://developer.hashicorp.com/vault/docs/commands/token-helper
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import ValidationError

from confsync.driver import Personal
from confsync.errors import ConfigError, Denied
from confsync_backends.vault.auth.method import Authenticator, AuthMethod, Grant
from confsync_backends.vault.auth.token import FILE, VARIABLE, TokenAuth
from confsync_backends.vault.calls import Calls
from confsync_backends.vault.options import (
    CONNECTION,
    VARIABLES,
    Taken,
    VaultOptions,
    found_variables,
    parse_address,
)

_ADDRESS = "VAULT_ADDR"
_PORTS = {"http": 80, "https": 443}


def personal(options: VaultOptions, others: Sequence[VaultOptions], base: Path) -> Personal:
    """See `Driver.personal`, and the rules above."""
    if options.auth.is_a_persons(base):
        return Personal(options)
    said = _said_address()
    vaults = {_place(one.address) for one in (options, *others) if not one.auth.is_a_persons(base)}
    if len(vaults) > 1 and (said is None or _place(said) != _place(options.address)):
        return Personal(_without_token(options, said))
    token = _token()
    if token is None:
        return Personal(_as_configured(options))
    return _with_token(options, token, said)


def _said_address() -> str | None:
    said = os.environ.get(_ADDRESS)
    try:
        return parse_address(said) if said else None
    except ValueError as error:
        raise ConfigError(f"${_ADDRESS}: {error}") from None


def _place(address: str) -> tuple[str, str | None, int | None, str]:
    """What is the same for two spellings of one address."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], parts.path


def _token() -> TokenAuth | None:
    """Where the caller's token is, as `vault` looks for it; an empty variable or file counts as none."""
    if os.environ.get(VARIABLE):
        return TokenAuth(env=VARIABLE)
    path = os.path.expanduser(FILE)
    return TokenAuth(file=FILE) if os.path.exists(path) and os.path.getsize(path) else None


def _with_token(options: VaultOptions, token: TokenAuth, address: str | None) -> Personal:
    """The options with the caller's token, and with what the caller's variables say of the connection."""
    found = found_variables({})
    given_up = CONNECTION if address is not None else {name for name in CONNECTION if name in found}
    if options.auth.method == "cert":
        given_up = given_up | {"client_cert", "client_key"}
    kept = {name: getattr(options, name) for name in (CONNECTION - given_up) & options.model_fields_set}
    try:
        # What is not written is taken from the variables, as always.
        checked = VaultOptions.model_validate({**kept, "address": address or options.address, "auth": token})
    except ValidationError as error:
        raise _wrong_variable(error) from None
    made = options.model_copy(update={name: getattr(checked, name) for name in (*CONNECTION, "address")})
    held = f"token of {FILE if token.env is None else '$' + token.env}"
    taken = Taken(f"${_ADDRESS}, {held}" if address is not None else held, movable=address is None)
    advised = Advised(login=token, advice=_log_in(made.address), instead=True)
    return Personal(made.taking(advised, taken), f"{held}, for {made.address}")


def _wrong_variable(error: ValidationError) -> ConfigError:
    detail = error.errors()[0]
    where = str(detail["loc"][0]) if detail["loc"] else ""
    names = " or ".join(f"${name}" for name in VARIABLES.get(where, ())) or "the variables of Vault's clients"
    return ConfigError(f"{names}: {str(detail['msg']).removeprefix('Value error, ')}")


def _as_configured(options: VaultOptions) -> VaultOptions:
    """The options as they are; a login that fails says how to log in as a person."""
    return options.taking(Advised(login=options.auth, advice=_log_in(options.address)), Taken())


def _without_token(options: VaultOptions, said: str | None) -> VaultOptions:
    """The options as they are, for a Vault that the caller's token is not meant for, as far as one can tell."""
    why = f"${_ADDRESS} is {said}" if said else f"no ${_ADDRESS} says for which"
    advice = (
        f"the sources are in several Vaults, and your token is for one of them, but {why}: "
        f"set {_ADDRESS}={options.address} and a token for it"
    )
    return options.taking(Advised(login=options.auth, advice=advice, withheld=True), Taken(movable=False))


def _log_in(address: str) -> str:
    return f"log in as yourself: vault login -address={address}, or set {VARIABLE}"


class Advised(AuthMethod):
    """A login that says what a person can do where it fails. Nobody writes it: `personal` makes it.

    Attributes:
        advice: what to do.
        instead: whether that is all to be done, or an alternative to what the login itself advises.
        withheld: whether the caller's token must not be used, also by a login that would.
    """

    method: Literal["personal"] = "personal"
    login: AuthMethod
    advice: str
    instead: bool = False
    withheld: bool = False

    def authenticator(self, base: Path) -> Authenticator:
        if self.withheld and self.login.takes_the_callers:
            return _Withheld(self.advice)
        return _Advising(self.login.authenticator(base), self)


class _Withheld(Authenticator):
    def __init__(self, advice: str) -> None:
        self._advice = advice

    def login(self, calls: Calls) -> Grant:
        raise Denied(f"vault at {calls.address}: there is no token for it", hint=self._advice)

    def stamp(self) -> Hashable:
        return None


class _Advising(Authenticator):
    def __init__(self, inner: Authenticator, options: Advised) -> None:
        self._inner = inner
        self._options = options
        self.makes_tokens = inner.makes_tokens

    def login(self, calls: Calls) -> Grant:
        try:
            return self._inner.login(calls)
        except Denied as refused:
            raise Denied(refused.message, key=refused.key, hint=self._hint(refused)) from refused

    def for_looking(self) -> Authenticator:
        return _Advising(self._inner.for_looking(), self._options)

    def stamp(self) -> Hashable:
        return self._inner.stamp()

    def _hint(self, refused: Denied) -> str:
        told = None if self._options.instead else refused.hint
        return f"{told}; or {self._options.advice}" if told else self._options.advice
