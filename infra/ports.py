"""Loopback ports that stay ours between a broker's death and its restart.

They are taken below the range from which the kernel gives ports to outgoing connections. Inside that range a client
that reconnects to a dead broker may be handed the broker's own port, and so block it or even connect to itself.
"""

import secrets
import socket
from collections.abc import Collection

_RANGE = range(20_000, 32_000)
LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether nothing listens on the loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # a port whose connections are in TIME_WAIT counts as free, as it does for the broker
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def listens(port: int) -> bool:
    """Whether something accepts connections on the loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0


def free_port(taken: Collection[int] = ()) -> int:
    """A free loopback port that isn't among `taken`."""
    while True:
        port = secrets.choice(_RANGE)
        if port not in taken and is_free(port):
            return port
