"""HAProxy's exposition in Octavia's names: against a translation that goes line by line, however the text is cut into pieces."""

from __future__ import annotations

import csv
import re
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.metrics.translation import MetricsError, Ours, Translation

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "octavia_metric_names.csv"
ROWS = list(csv.DictReader(VECTORS.read_text().splitlines()))

TEXT = b"""\
# HELP haproxy_process_nbthread Number of threads
# TYPE haproxy_process_nbthread gauge
haproxy_process_nbthread 2
# HELP haproxy_process_current_connections Current number of connections on this worker process
# TYPE haproxy_process_current_connections gauge
haproxy_process_current_connections 3
# HELP haproxy_frontend_bytes_in_total Total number of request bytes since process started
# TYPE haproxy_frontend_bytes_in_total counter
haproxy_frontend_bytes_in_total{proxy="prometheus-exporter-internal-endpoint"} 99
haproxy_frontend_bytes_in_total{proxy="web"} 10
# HELP haproxy_frontend_internal_errors_total Nobody asked for this
# TYPE haproxy_frontend_internal_errors_total counter
haproxy_frontend_internal_errors_total{proxy="web"} 0
# HELP haproxy_server_http_responses_total Total number of HTTP responses
# TYPE haproxy_server_http_responses_total counter
haproxy_server_http_responses_total{proxy="pool:web",server="one",code="1xx"} 0
haproxy_server_http_responses_total{proxy="prometheus-exporter-internal",server="prometheus-internal",code="1xx"} 0
haproxy_server_http_responses_total{proxy="pool:web",server="two",code="5xx"} 4
# HELP haproxy_sticktable_size Stick table size.
# TYPE haproxy_sticktable_size gauge
haproxy_sticktable_size{name="x",type="ip"} 1
"""


def oracle(text: bytes) -> list[str]:
    """The lines of samples and types, each translated by itself as the table says."""
    changes = {
        row["haproxy_metric"].rstrip("{"): (row["octavia_metric"].rstrip("{"), row["label_changes"].split())
        for row in sorted(ROWS, key=lambda row: row["haproxy_metric"].endswith("{"))
    }
    found = []
    for line in text.decode().splitlines():
        name = re.search(r"haproxy_\w+", line)
        if name is None or name[0] not in changes or "prometheus-exporter" in line or line.startswith("# HELP"):
            continue
        to, labels = changes[name[0]]
        replaced = line.replace(name[0], to)
        for old, new in (change.split("->") for change in labels if not line.startswith("#")):
            replaced = replaced.replace(old, new)
        found.append(replaced)
    return found


def translated(*pieces: bytes, extra: dict[bytes, Ours] | None = None) -> bytes:
    translation = Translation(extra)
    return b"".join(part for piece in pieces for part in translation.feed(piece)) + translation.end()


def samples(text: bytes) -> list[str]:
    return [line for line in text.decode().splitlines() if not line.startswith("# HELP")]


def test_it_is_what_the_table_says() -> None:
    assert samples(translated(TEXT)) == oracle(TEXT)
    assert b'octavia_member_http_responses_total{pool="pool:web",member="two",code="5xx"} 4\n' in translated(TEXT)


@given(st.lists(st.integers(0, len(TEXT))))
def test_how_it_is_cut_does_not_matter(places: list[int]) -> None:
    cuts = [0, *sorted(places), len(TEXT)]
    assert translated(*(TEXT[begin:end] for begin, end in pairwise(cuts))) == translated(TEXT)


def test_byte_by_byte() -> None:
    assert translated(*(TEXT[place : place + 1] for place in range(len(TEXT)))) == translated(TEXT)


def test_every_help_goes_with_a_type_of_the_same_name() -> None:
    headers = re.findall(rb"^# (HELP|TYPE) (\S+)", translated(TEXT), re.MULTILINE)
    assert [kind for kind, _ in headers] == [b"HELP", b"TYPE"] * (len(headers) // 2)
    assert [name for _, name in headers[::2]] == [name for _, name in headers[1::2]]


def test_lines_of_ours_go_to_haproxys_of_the_same_metric_or_to_the_end() -> None:
    extra = {
        b"octavia_listener_bytes_in_total": Ours(b"-", b"counter", b'octavia_listener_bytes_in_total{listener="udp"} 5\n'),
        b"octavia_loadbalancer_cpu": Ours(b"Load", b"gauge", b"octavia_loadbalancer_cpu 1.5\n"),
    }
    lines = translated(TEXT, extra=extra).decode().splitlines()
    place = lines.index("# TYPE octavia_listener_bytes_in_total counter")
    assert lines[place + 1 : place + 3] == [
        'octavia_listener_bytes_in_total{listener="udp"} 5',
        'octavia_listener_bytes_in_total{listener="web"} 10',
    ]
    assert lines[-3:] == ["# HELP octavia_loadbalancer_cpu Load", "# TYPE octavia_loadbalancer_cpu gauge", "octavia_loadbalancer_cpu 1.5"]


def test_what_ends_in_the_middle_is_not_whole() -> None:
    with pytest.raises(MetricsError, match="middle of a line"):
        translated(TEXT[:-3])


def test_a_line_without_an_end_is_not_kept() -> None:
    with pytest.raises(MetricsError, match="a line of more than"):
        translated(*[b"x" * 100_000] * 10)


@given(st.binary())
def test_garbage_is_passed_over_or_refused(text: bytes) -> None:
    with suppress(MetricsError):
        assert b"haproxy_" not in translated(text)
