"""What HAProxy's exporter calls a metric, and what Octavia does: `names.csv`, read once it is needed."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

_FILE = Path(__file__).with_name("names.csv")

#: Octavia's words for HAProxy's; the longest are tried first.
_WORDS = {
    "this worker process": "the load balancer",
    "this worker": "the load balancer",
    "the worker process": "the load balancer",
    "this process": "the load balancer",
    "worker process": "load balancer",
    "per-process": "the load balancer's",
    "process": "load balancer",
    "frontend/listener": "listener",
    "frontend": "listener",
    "frontends": "listeners",
    "backend": "pool",
    "backends": "pools",
    "server": "member",
    "servers": "members",
}
_WORD = re.compile(rf"\b({'|'.join(sorted(_WORDS, key=lambda word: -len(word)))})\b", re.IGNORECASE)

#: What is clearer in words that are not HAProxy's at all.
_HELP = {
    "octavia_memory_pool_allocated_bytes": "Memory that is allocated in pools, in bytes",
    "octavia_memory_pool_used_bytes": "Memory in pools that is in use, in bytes",
    "octavia_memory_pool_failures_total": "Times that a pool could not get memory",
    "octavia_listener_status": "Whether the listener is in this state: 1 for the one that it is in",
    "octavia_listener_http_responses_total": "HTTP responses to clients, by the first digit of their status",
    "octavia_listener_http_cache_hits_total": "HTTP requests that were answered from the cache",
    "octavia_pool_status": "Whether the pool is in this state: 1 for the one that it is in",
    "octavia_pool_http_responses_total": "HTTP responses of the pool's members, by the first digit of their status",
    "octavia_pool_http_cache_hits_total": "HTTP requests that were answered from the cache",
    "octavia_member_status": "Whether the member is in this state: 1 for the one that it is in",
    "octavia_member_http_responses_total": "HTTP responses of the member, by the first digit of their status",
    "octavia_member_weight": "Weight of the member",
    "octavia_member_current_throttle": "Percentage of its weight that a member is given which has just come back; absent at all other times",
}


class Family(NamedTuple):
    """A metric. `labels`: what stands before a label's value → what is to stand there."""

    was: bytes
    name: bytes
    labels: tuple[tuple[bytes, bytes], ...]

    def replacements(self) -> tuple[tuple[bytes, bytes], ...]:
        """What makes Octavia's lines of HAProxy's. HAProxy gives the proxy first; names in there have no quotes in them."""
        if not self.labels:
            return ((self.was + b" ", self.name + b" "),)
        (proxy, owner), *others = self.labels
        first = (self.was + b"{" + proxy, self.name + b"{" + owner)
        return (first, *((b'",' + old, b'",' + new) for old, new in others))

    def help(self, haproxy: str) -> bytes:
        """What the metric is; `haproxy` is what HAProxy says about it."""
        name = self.name.decode()
        return _HELP.get(name, _WORD.sub(lambda found: _as(found[0], _WORDS[found[0].lower()]), haproxy)).encode()


@cache
def families() -> dict[bytes, Family]:
    """All that are served, by HAProxy's names."""
    found: dict[bytes, Family] = {}
    with _FILE.open(encoding="ascii", newline="") as file:
        for row in csv.DictReader(file):
            was, name = (row[column].rstrip("{").encode() for column in ("haproxy_metric", "octavia_metric"))
            labels = [change.partition("->") for change in row["label_changes"].split()]
            # A metric comes twice: without labels, as HELP and TYPE have it, and with them.
            if was not in found or labels:
                found[was] = Family(was, name, tuple((old.encode() + b'"', new.encode() + b'"') for old, _, new in labels))
    return found


def _as(example: str, word: str) -> str:
    return word.capitalize() if example[0].isupper() else word
