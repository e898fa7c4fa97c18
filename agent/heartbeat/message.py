"""The message: version 3 of what Octavia's amphorae send, and its envelope (contracts of `octavia.amphorae.backends.health_daemon`)."""

from __future__ import annotations

import hashlib
import hmac
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from agent.heartbeat.counters import Counts

VERSION = 3

#: Bytes that a UDP datagram can carry (65 535 less the headers of IPv4 and UDP); as many as the receiver can take.
LARGEST = 65_507

#: Bytes of the signature: SHA-256 in hexadecimal digits.
SIGNATURE = 64


class ListenerState(NamedTuple):
    """`status` is OPEN or FULL; `connections` are those at present; `counts` what happened since the last message."""

    status: str
    connections: int
    counts: Counts = Counts()


class PoolState(NamedTuple):
    """`status` is UP or DOWN; `members` by id, each as HAProxy words it ("UP", "UP 1/3", "DOWN", "DRAIN", "MAINT", "no check")."""

    status: str
    members: Mapping[str, str]


Listeners = Mapping[str, ListenerState]

#: By "<pool>:<listener>", or by "<pool>" alone for the pool of a UDP or SCTP listener.
Pools = Mapping[str, PoolState]


def document(amphora_id: str, sequence: int, listeners: Listeners, pools: Pools) -> dict[str, Any]:
    """The message as plain data."""
    return {
        "id": amphora_id,
        "seq": sequence,
        "ver": VERSION,
        "listeners": {
            name: {
                "status": each.status,
                "stats": {
                    "tx": each.counts.tx,
                    "rx": each.counts.rx,
                    "conns": each.connections,
                    "totconns": each.counts.connections,
                    "ereq": each.counts.errors,
                },
            }
            for name, each in listeners.items()
        },
        "pools": {name: {"status": each.status, "members": each.members} for name, each in pools.items()},
    }


def seal(message: Mapping[str, Any], key: str) -> bytes:
    """The datagram: compressed JSON, then its HMAC-SHA256 in hexadecimal digits."""
    compressed = zlib.compress(msgspec.json.encode(message), 9)
    return compressed + hmac.new(key.encode(), compressed, hashlib.sha256).hexdigest().encode()
