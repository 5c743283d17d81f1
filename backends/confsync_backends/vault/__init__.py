"""HashiCorp Vault and OpenBao: one secret for one path, versions, leases, transit.

options.py    what a user writes                auth/         ways to log in
calls.py      one HTTP call                     reply.py      what an answer holds
slots.py      how many at the same time
transport.py  connections and TLS               faults.py     which error means what
session.py    who we are to Vault               login.py      one login, and when it ends
attempts.py   logins that failed                mounts.py     what is mounted where
kv.py         key-value secrets, both versions  dynamic.py    leases, certificates, everything else
transit.py    decryption                        backend.py    all of it as an `AddressedBackend`
"""

from __future__ import annotations

from confsync_backends.vault.backend import VaultBackend
from confsync_backends.vault.options import VaultOptions

__all__ = ["VaultBackend", "VaultOptions"]
