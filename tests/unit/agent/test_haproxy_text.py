from __future__ import annotations

import pytest

from agent.haproxy_text import Frontend, HaproxyText, read

ONE, TWO, THREE = (f"0b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4{digit}" for digit in "012")

OCTAVIA = f"""# Configuration for loadbalancer x
global
    daemon
    user nobody
    log /run/rsyslog/octavia/log local0

defaults
    mode tcp

frontend prometheus-exporter-internal-endpoint
    bind 127.0.0.1:9101
    mode http

frontend {ONE}
    maxconn 50000
    redirect scheme https if !{{ ssl_fc }}
    bind 192.0.2.10:80
    mode http

frontend {TWO}
    maxconn 50000
    bind 192.0.2.10:443 ssl crt-list /var/lib/octavia/certs/x/{TWO}.pem ca-file /x.pem verify required alpn h2
    bind [2001:db8::1]:443 ssl crt-list /var/lib/octavia/certs/x/{TWO}.pem
    mode http  # as ever
backend pool:{TWO}
    mode http
    server s 192.0.2.1:443 ssl crt /x
    group of words

frontend {THREE}
    mode tcp
"""


def test_what_octavia_writes() -> None:
    assert read(OCTAVIA.encode()) == HaproxyText(
        user=True, group=False, frontends=(Frontend(ONE, "HTTP"), Frontend(TWO, "TERMINATED_HTTPS"), Frontend(THREE, "TCP"))
    )


@pytest.mark.parametrize(
    ("text", "user", "group"),
    [
        ("global\n  group nogroup\n", False, True),
        ("global\n\tgid 7\n  user x\n", True, True),
        ("global\n  # group nogroup\n  user x # group\n", True, False),
        ("defaults\n  user x\n  group nogroup\n", False, False),
        ("", False, False),
        ("\x00\xff nonsense\nfrontend\n", False, False),
    ],
)
def test_who_it_names(text: str, user: bool, group: bool) -> None:
    assert read(text.encode("latin-1")) == HaproxyText(user, group, ())
