"""gRPC and etcd's stubs, imported so that gRPC does not write to our stderr, unless the user wants it to.

What gRPC would write there is in the errors it gives us. It looks at GRPC_VERBOSITY while it is imported
and when it starts with the first channel; after that the variable must go, or the commands we run would
inherit it.
"""

from __future__ import annotations

import os

_OURS = "GRPC_VERBOSITY" not in os.environ
if _OURS:
    os.environ["GRPC_VERBOSITY"] = "NONE"
try:
    import grpc
    from pyetcd.etcdrpc import auth_pb2, kv_pb2, rpc_pb2, rpc_pb2_grpc

    # Connects to nothing: a channel does that when it is used.
    grpc.insecure_channel("127.0.0.1:1").close()
finally:
    if _OURS:
        del os.environ["GRPC_VERBOSITY"]

__all__ = ["auth_pb2", "grpc", "kv_pb2", "rpc_pb2", "rpc_pb2_grpc"]
