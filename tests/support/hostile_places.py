"""Where the 1.0 contract takes a word of its caller's in a path: ids, file names, addresses, actions; `{}` is for the word."""

from __future__ import annotations

AMPHORA = "2b1a2e0c-1f0c-4bb2-9a0e-6f5d2a1b3c4d"
LB = "5d2f0d3e-6c1b-4a55-8d5e-0b6b7e1b6a10"

#: Method and path below /1.0/.
PLACES = [
    ("PUT", f"loadbalancer/{LB}/certificates/{{}}"),
    ("GET", f"loadbalancer/{LB}/certificates/{{}}"),
    ("DELETE", f"loadbalancer/{LB}/certificates/{{}}"),
    ("PUT", "loadbalancer/{}/certificates/x.pem"),
    ("GET", "loadbalancer/{}/certificates/x.pem"),
    ("DELETE", "loadbalancer/{}/certificates/x.pem"),
    ("PUT", f"loadbalancer/{{}}/{LB}/haproxy"),
    ("PUT", f"loadbalancer/{AMPHORA}/{{}}/haproxy"),
    ("GET", "loadbalancer/{}/haproxy"),
    ("PUT", "loadbalancer/{}/start"),
    ("PUT", f"loadbalancer/{LB}/{{}}"),
    ("DELETE", "listeners/{}"),
    ("PUT", f"listeners/{AMPHORA}/{{}}/udp_listener"),
    ("PUT", f"listeners/{{}}/{LB}/udp_listener"),
    ("GET", "listeners/{}/udp_listener"),
    ("POST", "plug/vip/{}"),
    ("PUT", "vrrp/{}"),
    ("GET", "interface/{}"),
    ("PUT", "interface/{}/rules"),
]
