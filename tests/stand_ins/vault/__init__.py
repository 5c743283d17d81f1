"""A Vault server that keeps state and answers as the recorded one did; with faults, a clock and a request log."""

from .admin import VaultAdmin
from .faults import Fault, Faults
from .identities import Authority, Identity, JwtIssuer
from .listener import TlsFiles
from .request_log import Request
from .server import VaultServer

__all__ = [
    "Authority",
    "Fault",
    "Faults",
    "Identity",
    "JwtIssuer",
    "Request",
    "TlsFiles",
    "VaultAdmin",
    "VaultServer",
]
