#!/bin/sh
# Makes sure the tests find etcd and etcdctl: installs them where that can be done unasked (root, apt-get), else says
# what to install. The tests start their own servers on free ports; a service that the package starts is not used.
set -eu

missing() {
    if [ -n "${CONFSYNC_TEST_ETCD:-}" ]; then
        [ -x "$CONFSYNC_TEST_ETCD" ] || { echo "CONFSYNC_TEST_ETCD=$CONFSYNC_TEST_ETCD is no program" >&2; exit 1; }
    else
        command -v etcd >/dev/null || return 0
    fi
    ! command -v etcdctl >/dev/null
}

missing || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    echo "installing etcd-server and etcd-client, for the tests"
    apt-get update -qq </dev/null >/dev/null
    apt-get install -y -qq --no-install-recommends etcd-server etcd-client </dev/null >/dev/null
fi
if missing; then
    echo "The tests need etcd and etcdctl (3.4 or later) on the PATH. Debian, Ubuntu:" >&2
    echo "    apt-get install etcd-server etcd-client" >&2
    echo "or set CONFSYNC_TEST_ETCD to an etcd program, with etcdctl on the PATH." >&2
    exit 1
fi
