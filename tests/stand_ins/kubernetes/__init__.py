"""A kube-apiserver that keeps state and answers as the recorded one did; with faults, a clock and a request log."""

from stand_ins.common.listener import TlsFiles

from .admin import KubeAdmin
from .faults import Fault, Faults
from .request_log import Request
from .server import ApiServer

__all__ = ["ApiServer", "Fault", "Faults", "KubeAdmin", "Request", "TlsFiles"]
