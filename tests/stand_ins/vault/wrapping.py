"""Response wrapping: an answer kept aside, for whoever shows its one-time token first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import ids
from .answers import Answer, Json, Refused
from .call import Call
from .clock import rfc3339
from .tokens import Token

if TYPE_CHECKING:
    from .core import Core


@dataclass
class Wrapped:
    answer: Answer
    created: float
    ttl: float
    path: str


class Wrapping:
    """All wrapped answers, by the token that opens each. The core's lock guards it."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._kept: dict[str, Wrapped] = {}

    def wrap(self, answer: Answer, call: Call) -> Answer:
        """What is sent instead of the answer."""
        now = self._core.clock.now()
        token = self._core.tokens.add(
            Token(
                ids.token(call.namespace.id),
                call.namespace,
                ["response-wrapping"],
                now,
                call.path,
                renewable=False,
                ttl=call.wrap_ttl,
                creation_ttl=call.wrap_ttl,
                explicit_max_ttl=call.wrap_ttl,
                expires=now + call.wrap_ttl,
                num_uses=1,
                uses_left=1,
            )
        )
        self._kept[token.id] = Wrapped(answer, now, call.wrap_ttl, call.path)
        info: Json = {
            "accessor": token.accessor,
            "creation_path": call.path,
            "creation_time": rfc3339(now),
            "token": token.id,
            "ttl": int(call.wrap_ttl),
        }
        if answer.auth:
            info["wrapped_accessor"] = answer.auth["accessor"]
        return Answer(wrap_info=info, request_id="")

    def find(self, token_id: str) -> Wrapped:
        """Raises Refused: 400 when it was opened before, has expired, or never was."""
        if self._core.tokens.find(token_id) is None or token_id not in self._kept:
            raise Refused(400, "wrapping token is not valid or does not exist")
        return self._kept[token_id]

    def unwrap(self, token_id: str) -> Answer:
        wrapped = self.find(token_id)
        token = self._core.tokens.find(token_id)
        if token is not None:
            self._core.tokens.revoke(token)
        return wrapped.answer

    def forget(self, token: Token) -> None:
        self._kept.pop(token.id, None)
