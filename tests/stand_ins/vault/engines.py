"""Which engine a mount's type is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import Refused
from .auth_approle import AppRole
from .auth_cert import Cert
from .auth_jwt import Jwt
from .auth_kubernetes import Kubernetes
from .auth_ldap import Ldap
from .auth_userpass import Userpass
from .database import Database
from .kv1 import Kv1
from .kv2 import Kv2
from .mounts import Engine, Mount
from .pki import Pki
from .transit import Transit

if TYPE_CHECKING:
    from .core import Core

_LOGINS: dict[str, type[Engine]] = {
    "approle": AppRole,
    "cert": Cert,
    "jwt": Jwt,
    "kubernetes": Kubernetes,
    "ldap": Ldap,
    "userpass": Userpass,
}
_SECRETS: dict[str, type[Engine]] = {"database": Database, "pki": Pki, "transit": Transit}


def make(core: Core, mount: Mount) -> Engine:
    """Raises Refused: 400 for a type there is none of."""
    if mount.type == "kv" and not mount.path.startswith("auth/"):
        return (Kv2 if (mount.options or {}).get("version") == "2" else Kv1)(core, mount)
    kinds = _LOGINS if mount.path.startswith("auth/") else _SECRETS
    if mount.type not in kinds:
        raise Refused(400, f"plugin not found in the catalog: {mount.type}")
    return kinds[mount.type](core, mount)
