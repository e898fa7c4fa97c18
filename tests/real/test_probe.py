"""`hydria-probe` on real sockets: an address of a namespace of the test's own answers echoes, one that nobody has does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from support.namespaces import Namespace


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace with 10.99.0.1 and fd99::1, where nobody has 10.99.0.2 and fd99::2."""
    with Namespace("probe") as made:
        for words in (
            "link add probe type veth peer name other",
            "link set probe up",
            "link set other up",
            "addr add 10.99.0.1/24 dev probe",
            "addr add fd99::1/64 dev probe nodad",
        ):
            made.ip(words)
        yield made.name


def check(namespace: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["ip", "netns", "exec", namespace, sys.executable, "-c", "from agent.probe import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.99.0.1", "fd99::1"])
def test_an_address_that_is_there_answers(namespace: str, address: str) -> None:
    finished = check(namespace, "NOT_USED", "NOT_USED", address, "0")
    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.parametrize("address", ["10.99.0.2", "fd99::2"])
def test_an_address_that_nobody_has_does_not(namespace: str, address: str) -> None:
    finished = check(namespace, "NOT_USED", "NOT_USED", address, "0")
    assert finished.returncode == 1
    assert finished.stderr.startswith("hydria-probe: ")


def test_wrong_words_are_told_the_right_ones(namespace: str) -> None:
    finished = check(namespace, "sctp")
    assert finished.returncode == 1
    assert "usage: hydria-probe " in finished.stderr
    assert "sctp|udp ADDRESS PORT SECONDS" in finished.stderr


def test_a_port_without_an_association_is_down(namespace: str) -> None:
    finished = check(namespace, "sctp", "127.0.0.1", "9", "1")
    assert finished.returncode == 1
    assert finished.stderr.startswith("hydria-probe: ")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_udp_port_is_up_unless_it_is_said_to_be_closed(namespace: str, address: str) -> None:
    assert check(namespace, "udp", address, "9", "0.5").returncode == 1
    code = (
        "import socket, sys; address = sys.argv[1]\n"
        "with socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM) as server:\n"
        "    server.bind((address, 9)); print(flush=True); input()\n"
    )
    command = ["ip", "netns", "exec", namespace, sys.executable, "-c", code, address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        finished = check(namespace, "udp", address, "9", "0.5")
        assert (finished.returncode, finished.stderr) == (0, "")
        server.communicate(b"\n")


@pytest.mark.parametrize(
    ("words", "said"), [(["sctp", "-t", "1", "127.0.0.1", "9"], "hydria-probe: "), (["udp", "x"], "usage: amphora-health-checker")]
)
def test_by_the_name_that_octavia_s_configurations_have_for_it(words: list[str], said: str) -> None:
    """Kernels without SCTP have no association either."""
    command = [sys.executable, "-c", "from agent.probe import health_checker; health_checker()", *words]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert finished.returncode == 1
    assert finished.stderr.startswith(said)
