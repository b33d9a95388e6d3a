"""TCP ports on the loopback interface."""

from __future__ import annotations

import random
import socket
import sys
from collections import deque
from typing import Final

import psutil

from relaydesk_local.errors import BackendError

HOST = "127.0.0.1"
_held: Final[deque[socket.socket]] = deque(maxlen=64)
"""Keep the ports that were given out last: it may take their servers a while to come up."""


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as servers bind: TIME_WAIT does not count as taken
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A free port below the range that outgoing connections use. On Linux no process that asks here is given it again
    soon.

    A client that retries against a stopped server on a port *inside* that range can be given the very port as its own
    source port, connect to itself, and keep the server from coming back.
    """
    for _ in range(200):
        port = random.randint(20_000, 32_000)
        if _hold(port):
            return port
    raise BackendError("No free TCP port between 20000 and 32000 on 127.0.0.1: stop some programs, then start again.")


def _hold(port: int) -> bool:
    """Takes the port if it is free. On Linux a server may listen beside a socket that only holds its port, as both say
    SO_REUSEADDR; who asks without saying so finds it taken."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.bind((HOST, port))
    except OSError:
        held.close()
        return False
    if sys.platform == "linux":
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    else:
        held.close()
    _held.append(held)
    return True


def require_free(port: int, wanted_by: str) -> None:
    """Raises `BackendError` naming the holder of `port`, where the operating system tells it."""
    if not is_free(port):
        raise port_taken(port, wanted_by)


def port_taken(port: int, wanted_by: str) -> BackendError:
    return BackendError(
        f"Port {port} on {HOST}, wanted by {wanted_by}, is taken{_holder(port)}: "
        "stop that program or choose another port."
    )


def _holder(port: int) -> str:
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.Error, OSError):
        return ""  # only root may look on some systems: then the line goes without a name
    for connection in connections:
        listens_there = connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,)
        if listens_there and connection.pid:
            try:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.Error:
                return f" by process {connection.pid}"
    return ""
