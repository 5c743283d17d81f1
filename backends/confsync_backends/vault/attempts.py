"""How often a login, or its renewal, may be tried: a thousand callers that find none must not make a thousand."""

from __future__ import annotations

import copy
import random
from collections.abc import Hashable
from dataclasses import dataclass, field

from confsync import backoff
from confsync.errors import SourceError, Unavailable

# A refusal means a wrong credential, which people mend, in minutes; Vault locks a user out after five in a row.
_FIRST, _LONGEST = 5.0, 60.0
_EARLIER = 0.25
_LONGEST_ASKED = 60.0  # seconds Vault may ask us to wait


@dataclass(frozen=True, slots=True)
class _Failure:
    error: SourceError
    until: float
    stamp: Hashable = field(repr=False)


class Attempts:
    """Remembers a failed attempt until it is time to try again, or until its credentials have changed.

    For one thread at a time. Times are of the monotonic clock.
    """

    def __init__(self) -> None:
        self._failure: _Failure | None = None
        self._count = 0  # failures in a row

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failure is not None

    def check(self, now: float, stamp: Hashable) -> None:
        """Raise the last attempt's error anew while it is too soon for another.

        Args:
            stamp: the credentials' (`Authenticator.stamp`).
        """
        failure = self._failure
        if failure is not None and failure.stamp == stamp and now < failure.until:
            # A copy: what is raised again and again gathers tracebacks.
            raise copy.copy(failure.error) from failure.error.__cause__

    def failed(self, error: SourceError, now: float, stamp: Hashable) -> None:
        """An attempt failed; the next may come after a while."""
        self._count += 1
        self._failure = _Failure(error, now + self._delay(error), stamp)

    def succeeded(self) -> None:
        """Forget the failures."""
        self._failure, self._count = None, 0

    def _delay(self, error: SourceError) -> float:
        if isinstance(error, Unavailable):
            return max(backoff.delay(self._count), min(error.retry_after or 0.0, _LONGEST_ASKED))
        longest = min(_FIRST * 2.0 ** min(self._count - 1, 10), _LONGEST)
        return longest * random.uniform(1 - _EARLIER, 1)  # noqa: S311 - not a secret
