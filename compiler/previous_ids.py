"""Which ids servers have in a configuration that was written before: what `compiler.build` is given as `previous`."""

from __future__ import annotations

from compiler.haproxy_file import read


def previous_ids(text: bytes) -> dict[str, int]:
    """Member → the id of its server, in a configuration of Hydria's for HAProxy. Raises UnreadableFile."""
    found = {}
    for proxy in read(text).proxies.values():
        for server in proxy.servers.values():
            if "id" in server.own[:-1] and (number := server.own[server.own.index("id") + 1]).isdigit():
                found[server.name] = int(number)
    return found
