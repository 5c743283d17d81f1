"""A kube-apiserver that keeps state and answers as the recorded one did; with faults, a clock and a request log."""

from .server import ApiServer

__all__ = ["ApiServer"]
