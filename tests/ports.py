"""Ports for tests that start several processes."""

import random
import socket


def free_port() -> str:
    """A port that nothing listens on, below those that the system hands out by itself."""
    candidates = random.SystemRandom()
    while True:
        port = candidates.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(('127.0.0.1', port))
            except OSError:
                continue
            return str(port)
