"""Credentials that a program of the kubeconfig gives: `users[].user.exec`.

The library runs such programs without a limit of time, and where one fails it goes on as nobody. So they are run here.
The protocol: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from confsync.errors import ConfigError
from confsync.text import printable

_EXTENSION = "client.authentication.k8s.io/exec"
_LONGEST = 200


def credentials(
    plugin: Mapping[str, Any],
    cluster: Mapping[str, Any],
    directory: Path,
    environ: Mapping[str, str],
    timeout: float,
) -> dict[str, Any]:
    """Runs the program and gives the `status` it answers: token, or certificate and key, and perhaps an expiry.

    Args:
        plugin: the `exec` entry.
        cluster: the cluster's entry; told to the program where it asks for it.
        directory: of the kubeconfig; a command with a slash in it starts there.
        environ: the program's, to which its own `env` is added.
        timeout: seconds it may take; then it is killed with all it started.

    Raises:
        ConfigError: it cannot be run, fails, takes too long, or answers something else. With the last line it
            wrote to standard error, as kubectl shows it; never with what it answered.
    """
    command = str(plugin.get("command") or "")
    version = plugin.get("apiVersion")
    if not command or not version:
        raise ConfigError("its exec plugin has no command or no apiVersion")
    if "/" in command:
        command = str(directory / Path(command).expanduser())
    own = {str(one["name"]): str(one["value"]) for one in plugin.get("env") or ()}
    told = {"KUBERNETES_EXEC_INFO": json.dumps(_info(plugin, cluster))}
    arguments = [command, *(str(one) for one in plugin.get("args") or ())]
    answer = _output(arguments, directory, {**environ, **own, **told}, timeout, plugin.get("installHint"))
    try:
        parsed = json.loads(answer)
        kind, spoken, status = parsed["kind"], parsed["apiVersion"], parsed["status"]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"its exec plugin {command!r} answers no ExecCredential") from None
    if kind != "ExecCredential" or spoken != version or not isinstance(status, dict):
        raise ConfigError(f"its exec plugin {command!r} answers no ExecCredential of {version}")
    certificate = status.get("clientCertificateData") and status.get("clientKeyData")
    if not status.get("token") and not certificate:
        raise ConfigError(f"its exec plugin {command!r} gives neither a token nor a certificate with its key")
    return status


def _info(plugin: Mapping[str, Any], cluster: Mapping[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {"interactive": False}
    if plugin.get("provideClusterInfo"):
        extensions = cluster.get("extensions") or ()
        config = next((one["extension"] for one in extensions if one.get("name") == _EXTENSION), None)
        spec["cluster"] = dict(cluster) | ({"config": config} if config is not None else {})
    return {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": spec}


def _output(
    arguments: list[str], directory: Path, environ: Mapping[str, str], timeout: float, install: object
) -> bytes:
    name = arguments[0]
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory,
            env=environ,
            start_new_session=True,
        )
    except OSError as exc:
        hint = printable(str(install))[:_LONGEST] if install else None
        why = (exc.strerror or type(exc).__name__).lower()
        raise ConfigError(f"its exec plugin {name!r} cannot be run: {why}", hint=hint) from exc
    with process:
        try:
            output, complaint = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            late = f"its exec plugin {name!r} did not answer within {timeout:g} s and was killed"
            raise ConfigError(late) from None
    if process.returncode != 0:
        lines = complaint.decode(errors="replace").strip().splitlines()
        why = f": {printable(lines[-1])[:_LONGEST]}" if lines else ""
        raise ConfigError(f"its exec plugin {name!r} failed with status {process.returncode}{why}")
    return output
