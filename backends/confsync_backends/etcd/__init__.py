"""etcd v3: everything under a prefix at one revision, then kept up to date by one watch stream.

options.py     what a user writes              endpoints.py   URLs, SRV discovery
connection.py  channels and failover           session.py     login and its token
faults.py      which error means what          ranges.py      prefixes as byte ranges
backend.py     read                            watch.py       the stream, its end, its sign of life
changes.py     responses -> deltas             mailbox.py     from the receiving thread to the reader
stubs.py       gRPC and etcd's stubs, imported quietly
"""

from __future__ import annotations

from confsync_backends.etcd.backend import EtcdBackend
from confsync_backends.etcd.options import Credential, EtcdOptions, Tls

__all__ = ["Credential", "EtcdBackend", "EtcdOptions", "Tls"]
