"""Who we are to Vault: one login for all threads, kept alive, and made anew when it has ended.

How long a token lives is reckoned by the monotonic clock; the times of day that Vault sends are never looked at, so
a clock that jumps, here or there, changes nothing. What Vault says in a refusal decides nothing either: whether the
token is dead or its policies forbid the call is found out by asking (`look_up`).
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from confsync import backoff
from confsync.clock import Clock, SystemClock
from confsync.errors import Denied, SourceError, Unavailable
from confsync.units import format_duration
from confsync_backends.vault.attempts import Attempts
from confsync_backends.vault.auth.method import Grant, look_up
from confsync_backends.vault.calls import Calls
from confsync_backends.vault.faults import Forbidden, Refused, TokenRejected
from confsync_backends.vault.login import Login
from confsync_backends.vault.options import VaultOptions
from confsync_backends.vault.reply import Reply
from confsync_backends.vault.request import Request

_NOTHING_YET = 5.0  # seconds until the next look, before the first login
_FILE_LOOKED_AT = 30.0  # seconds between looks at a token that is kept elsewhere, where nobody makes calls


class Session:
    """The login of one backend. Thread-safe: one thread logs in, the others wait for it and share what it got."""

    def __init__(self, calls: Calls, options: VaultOptions, base: Path, clock: Clock | None = None) -> None:
        self._calls = calls
        self._options = options
        self._authenticator = options.auth.authenticator(base)
        self._clock: Clock = clock or SystemClock()
        self._lock = threading.Lock()  # for all that follows; `_login` may be read without
        self._login: Login | None = None
        self._number = 0
        self._ended = False  # for good: what is still under way must neither log in anew nor make anything
        # Ours, given up for newer ones; they live on for the leases bound to them.
        self._left: list[Login] = []
        self._attempts = Attempts()  # to log in
        self._renewals = Attempts()
        # New logins in a row that were refused as well, with nobody to tell why; until when to spare Vault another.
        self._blind, self._blind_until = 0, -math.inf

    @property
    def number(self) -> int:
        """The number of the present login; 0 before the first."""
        return self._number

    def only_look(self) -> None:
        """Use up nothing to log in (`Authenticator.for_looking`). For before the first call."""
        self._authenticator = self._authenticator.for_looking()

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        doing: str,
    ) -> tuple[Reply, int]:
        """Make a call as who we are, logging in first where nobody is, and once more where the login has ended.

        Takes what `Calls.request` takes. Gives the answer, and the number of the session it was made in.

        Raises:
            Forbidden: the policies do not allow it; says which line of a policy would.
            Denied: the login failed. Until it is time to try again, the same error is raised without a call.
            Unavailable: the session has ended (`end`); and as `Calls.request`.
            Invalid: see `Calls.request`.
        """
        request = Request(method, path, body, query, doing)
        login = self._current()
        try:
            return self._send(request, login), login.number
        except TokenRejected as refused:
            login = self._judge(request, login, refused)
        try:
            return self._send(request, login), login.number
        except TokenRejected as refused:
            raise self._refused_again(request, login, refused) from refused

    def tend(self) -> float | None:
        """Renew the login, or log in anew, if that is due.

        Returns:
            Seconds after which to call again; None: nothing will be due for this login. Call again in any case when
            `number` has changed. Calling too often does no harm.

        Raises:
            SourceError: what was due failed. Until it is time to try again, with a growing delay, the same error is
                raised without a call. A renewal is tried until the login ends, and then a new login, for ever.
        """
        with self._lock:
            if self._ended:
                return None
            if self._login is None and not self._attempts.failing:
                return _NOTHING_YET
            login = self._ensure()
            if login.due is not None and login.due <= self._now():
                login = self._prolong(login)
            return self._until_due(login)

    def verify(self) -> None:
        """Look the login up, and log in anew where it has ended.

        Raises:
            SourceError: Vault cannot tell, or the new login failed.
        """
        with self._lock:
            login = self._login
            if login is None or not login.verified or self._is_alive(login):
                return
            self._login = None
            self._log_in()

    def export(self) -> bytes | None:
        """The login, for another process to go on with; None before the first. It is a secret."""
        login = self._login
        return None if login is None else login.export(self._identity(), self._now())

    def import_(self, exported: bytes) -> None:
        """Go on with a login of an earlier process, if it was made by the same options at the same Vault.

        The first use looks it up, and logs in anew where it has ended. What cannot be read counts as none.
        """
        with self._lock:
            login = Login.imported(exported, self._identity(), self._now())
            if login is not None and self._login is None:
                self._login, self._number = login, login.number

    def end(self) -> None:
        """Revoke the logins we made or went on from. One that cannot be revoked now runs out by itself: no error.

        It is for good: calls made later, or still under way, raise Unavailable where they would have to ask Vault.
        """
        self._ended = True  # before the lock: who waits for it to log in need not any more
        with self._lock:
            logins = self._left if self._login is None else [*self._left, self._login]
            self._login, self._left = None, []
            for login in logins:
                self._revoke(login.grant)

    # Calls. Those below, except `_current` and `_send`, want the lock, or take it where they say so.

    def _send(self, request: Request, login: Login) -> Reply:
        self._refuse_if_ended(request.doing)
        return self._calls.request(
            request.method,
            request.path,
            token=login.grant.token,
            body=request.body,
            query=request.query,
            doing=request.doing,
        )

    def _judge(self, request: Request, refused_login: Login, refused: TokenRejected) -> Login:
        """The login to repeat a refused call with. Takes the lock.

        Raises:
            Forbidden: the token is alive; another login would not help.
            SourceError: Vault cannot tell, or the new login failed.
        """
        with self._lock:
            login = self._login
            if login is None or login.grant.token != refused_login.grant.token:
                return self._ensure()  # somebody has logged in since
            if self._is_alive(login):
                raise self._forbidden(request, login) from refused
            if self._now() < self._blind_until:
                raise self._forbidden(request, login, doubtful=True) from refused
            self._login = None
            return self._log_in()

    def _refused_again(self, request: Request, login: Login, refused: TokenRejected) -> Denied:
        """The error where even a new login was refused. Takes the lock."""
        with self._lock:
            try:
                alive = self._is_alive(login)
            except SourceError:
                return refused
            self._blind = 0 if alive else self._blind + 1
            self._blind_until = self._now() + (0.0 if alive else backoff.delay(self._blind))
        return self._forbidden(request, login, doubtful=not alive)

    def _is_alive(self, login: Login) -> bool:
        return look_up(self._calls, login.grant.token, "looking up the login") is not None

    def _forbidden(self, request: Request, login: Login, *, doubtful: bool = False) -> Forbidden:
        return request.forbidden(self._calls.address, login.grant.policies, doubtful=doubtful)

    def _refuse_if_ended(self, doing: str) -> None:
        if self._ended:
            raise Unavailable(f"vault at {self._calls.address}: {doing}: this source is closed")

    # Logging in.

    def _current(self) -> Login:
        """The present login, or a new one. Takes the lock only where there is none."""
        login = self._login
        if login is not None and self._is_good(login):
            return login
        with self._lock:
            return self._ensure()

    def _is_good(self, login: Login) -> bool:
        if not login.verified or login.has_ended(self._now()):
            return False
        return self._authenticator.makes_tokens or login.stamp == self._authenticator.stamp()

    def _ensure(self) -> Login:
        login = self._login
        if login is not None and self._is_good(login):
            return login
        if login is not None and not login.verified and self._authenticator.makes_tokens:
            return self._verify(login)
        return self._log_in()

    def _log_in(self) -> Login:
        with self._attempt() as stamp:
            asked = self._now()
            return self._adopt(self._authenticator.login(self._calls), asked, stamp)

    @contextmanager
    def _attempt(self) -> Iterator[Hashable]:
        """An attempt at having a login, if it is time for one; gives the credentials' stamp."""
        self._refuse_if_ended("logging in")
        stamp = self._authenticator.stamp()
        self._attempts.check(self._now(), stamp)
        try:
            yield stamp
        except SourceError as error:
            self._attempts.failed(error, self._now(), stamp)
            raise
        self._attempts.succeeded()

    def _adopt(self, grant: Grant, asked: float, stamp: Hashable) -> Login:
        old = self._login
        same = old is not None and old.grant.token == grant.token
        if old is not None and not same:
            self._left.append(old)
        self._left = [login for login in self._left if not login.has_ended(asked)]
        number = self._number if same else self._number + 1
        login = Login.begun(grant, number, asked, stamp)
        self._login, self._number = login, number
        return login

    def _verify(self, imported: Login) -> Login:
        """A login of an earlier process, now that Vault has told about it; or a new one where it has ended."""
        token = imported.grant.token
        with self._attempt() as stamp:
            asked = self._now()
            data = look_up(self._calls, token, "looking up the login")
        if data is None:
            self._login = None
        if not data:  # dead, or of an age that cannot be told
            return self._log_in()
        told = Grant.from_lookup(token, data)
        grant = replace(told, ours=imported.grant.ours, granted=imported.grant.granted)
        self._login = Login.begun(grant, imported.number, asked, stamp)
        return self._login

    # Keeping it.

    def _until_due(self, login: Login) -> float | None:
        wait = None if login.due is None else max(login.due - self._now(), 0.0)
        if self._authenticator.makes_tokens:
            return wait
        return _FILE_LOOKED_AT if wait is None else min(wait, _FILE_LOOKED_AT)

    def _prolong(self, login: Login) -> Login:
        if not login.grant.renewable:
            return self._log_in()  # the old one lives on until those who lean on it have moved
        asked = self._now()
        self._renewals.check(asked, login.number)
        try:
            ttl = self._renew(login.grant)
        except TokenRejected:
            return self._renewal_refused(login)
        except Refused:
            self._login = login.not_renewable(self._now())
            return self._login
        except SourceError as error:
            raise self._renewal_failed(login, error) from error
        self._renewals.succeeded()
        self._login = login.renewed(ttl, asked, again=not self._authenticator.makes_tokens)
        return self._login

    def _renew(self, grant: Grant) -> float:
        """Renew a token; gives the seconds it lives from now on."""
        doing, body = "renewing the login", {"increment": f"{round(grant.granted)}s"}
        reply = self._calls.request(
            "POST", "auth/token/renew-self", token=grant.token, body=body, doing=doing
        )
        if reply.auth is None:
            raise Unavailable(f"vault at {self._calls.address}: {doing}: its answer tells of no token")
        return float(reply.auth.get("lease_duration") or 0)

    def _renewal_refused(self, login: Login) -> Login:
        """Either it is dead, or its policies do not let it renew itself."""
        if not self._is_alive(login):
            self._login = None
            return self._log_in()
        self._login = login.not_renewable(self._now())
        return self._login

    def _renewal_failed(self, login: Login, error: SourceError) -> Unavailable:
        now = self._now()
        left = format_duration(login.left(now))
        soon = error.retry_after if isinstance(error, Unavailable) else None
        told = Unavailable(
            f"{error.message}; the login still lives for {left}", hint=error.hint, retry_after=soon
        )
        self._renewals.failed(told, now, login.number)
        return told

    def _revoke(self, grant: Grant) -> None:
        if not grant.ours or grant.batch:
            return
        with suppress(SourceError):
            self._calls.request(
                "POST", "auth/token/revoke-self", token=grant.token, body={}, doing="revoking the login"
            )

    def _identity(self) -> str:
        """What must be the same for a login to be gone on with."""
        options = self._options
        said = [options.address, options.namespace, options.auth.model_dump(mode="json")]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def _now(self) -> float:
        return self._clock.monotonic()
