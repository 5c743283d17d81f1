"""What is answered but never kept: access reviews, service account tokens."""

from __future__ import annotations

from typing import Any

from stand_ins.common.clock import Clock

from . import access, managed, status, users
from .access import Question, Rbac
from .answers import Answer
from .fields import ANY, struct
from .go import Undecodable, from_json
from .kinds import api_object
from .managed import Writer
from .metadata import rfc3339
from .request import Call, Target
from .status import Json, bad_request, copied, method_not_allowed
from .store import Key, Store
from .users import Tokens

_AUTHORIZATION = "authorization.k8s.io"
_SHAPE = api_object(spec=struct(resourceAttributes=ANY, nonResourceAttributes=ANY), status=ANY)
_ZERO = {"metadata": {}, "spec": {}, "status": {"allowed": False}}


def is_review(target: Target) -> bool:
    return target.group == _AUTHORIZATION and target.plural == "selfsubjectaccessreviews"


def answer(call: Call, rbac: Rbac, clock: Clock) -> Answer:
    """May the caller do what the review says?"""
    if call.verb != "create":
        raise method_not_allowed()
    review = _body(call, "SelfSubjectAccessReview")
    spec = review.get("spec") or {}
    asked = access.target_of_review(spec.get("resourceAttributes") or {})
    verb = (spec.get("resourceAttributes") or {}).get("verb", "")
    question = Question(
        call.user, call.groups, verb, asked.group, asked.resource, asked.namespace, asked.name
    )
    if spec.get("nonResourceAttributes"):
        attributes = spec["nonResourceAttributes"]
        question = Question(
            call.user, call.groups, attributes.get("verb", ""), path=attributes.get("path", "")
        )
    thing: Json = {
        "apiVersion": f"{_AUTHORIZATION}/v1",
        "kind": "SelfSubjectAccessReview",
        "metadata": dict(review.get("metadata") or {}),
        "spec": spec,
        "status": {"allowed": False},
    }
    writer = Writer(call.manager, thing["apiVersion"], rfc3339(clock.now()))
    managed.write_owners(thing, managed.updated(_SHAPE, _ZERO, thing, {}, writer))
    thing["status"] = {"allowed": rbac.allows(question)}
    return Answer(201, thing)


def token(call: Call, store: Store, tokens: Tokens, clock: Clock) -> Answer:
    """A token for a service account, as the kubelet gets it for a pod."""
    if call.verb != "create":
        raise method_not_allowed()
    target = call.target
    account = store.get(Key("serviceaccounts", target.namespace, target.name))
    if account is None:
        raise status.not_found("", "serviceaccounts", target.name)
    spec = _body(call, "TokenRequest").get("spec") or {}
    seconds = spec.get("expirationSeconds") or 3600
    if seconds < 600:
        text = "may not specify a duration less than 10 minutes"
        problem = status.invalid_value("spec.expirationSeconds", seconds, text)
        raise status.invalid("authentication.k8s.io", "TokenRequest", target.name, [problem])
    ends = clock.now() + seconds
    user = users.service_account(target.namespace, target.name, ends)
    about = {
        "namespace": target.namespace,
        "serviceaccount": {"name": target.name, "uid": account["metadata"]["uid"]},
    }
    audiences = spec.get("audiences") or ["https://kubernetes.default.svc.cluster.local"]
    issued = tokens.issue(user, {"sub": user.name, "aud": audiences, "kubernetes.io": about})
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": {
            "name": target.name,
            "namespace": target.namespace,
            "creationTimestamp": rfc3339(clock.now()),
        },
        "spec": {"audiences": audiences, "boundObjectRef": None, "expirationSeconds": seconds},
        "status": {"token": issued, "expirationTimestamp": rfc3339(ends)},
    }
    return Answer(201, body)


def _body(call: Call, kind: str) -> Json:
    try:
        found: Any = from_json(call.body)
    except Undecodable as exc:
        raise bad_request(f'{kind} in version "v1" cannot be handled as a {kind}: {exc}') from exc
    return copied(found) if isinstance(found, dict) else {}
