"""Whether a request is sent again after a failure, and when.

429                              until the time is up, after Retry-After or a growing pause: nothing was done
no connection                    whatever it is: nothing was sent
5xx, a lost connection, silence  what may be done twice, so no POST
409 without a cause              a PATCH: the server itself was overtaken
"""

from __future__ import annotations

import random

from confsync import backoff
from confsync.clock import Clock
from confsync.sinks.kubernetes.failures import ApiFailure, Conflict, Unreachable

TRIES = 5
_LONGEST_PAUSE = 30.0
_BUSY = 429


class Retries:
    """Those of one request.

    Args:
        method: GET, POST, PUT, PATCH or DELETE.
        tries: how often it may be sent at most, not counting what is answered 429.
        patient: whether it may be sent again after a 429.
        final: whether a conflict is: the request names the resourceVersion it is for.
        within: seconds from now after which it is not sent again.
    """

    def __init__(
        self, method: str, tries: int, *, patient: bool, final: bool, within: float, clock: Clock
    ) -> None:
        self._method = method
        self._final = final
        self._tries = tries
        self._patient = patient
        self._clock = clock
        self._deadline = clock.monotonic() + within
        self._failures = 0

    def pause(self, failure: ApiFailure) -> float | None:
        """Seconds to wait before it is sent again; None where it is not."""
        self._failures += 1
        if not self._may_repeat(failure):
            return None
        pause = _pause(self._failures, failure.retry_after or 0.0)
        late = self._clock.monotonic() + pause > self._deadline
        return None if late else pause

    def _may_repeat(self, failure: ApiFailure) -> bool:
        if failure.status == _BUSY:
            return self._patient
        self._tries -= 1
        return self._tries > 0 and self._is_harmless(failure)

    def _is_harmless(self, failure: ApiFailure) -> bool:
        """Whether the same request, sent again, does nothing that it should not, and may succeed."""
        if isinstance(failure, Unreachable):
            return failure.passing and (self._method != "POST" or not failure.sent)
        overtaken = isinstance(failure, Conflict) and not failure.causes
        return overtaken and self._method == "PATCH" and not self._final


def _pause(failures: int, wanted: float) -> float:
    """What the server wants and a little more, so that not all come back at once; at least what grows by itself."""
    spread = wanted * random.uniform(1.0, 1.25)  # noqa: S311 - not a secret
    return min(max(backoff.delay(failures), spread), _LONGEST_PAUSE)
