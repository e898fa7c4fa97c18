"""TLS in a lab of Octavia's, with the secrets that it has: names, clients' certificates, re-encryption; and ways to members without a port there."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
from octavia_cloud import User, octavia_lab
from support.polling import eventually

from hydria.lab import record
from hydria.lab.certificates import Authority
from hydria.lab.octavia_plan import CLIENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.slow

VIP, VIP6 = "192.0.2.10", "2001:db8::10"


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with octavia_lab("tls", members=2) as made:
        more = ("--additional-vip", f"subnet-id=ipv6-public-subnet,ip-address={VIP6}")
        made.loadbalancer("create", "--name", "lb", "--vip-subnet-id", "public-subnet", "--vip-address", VIP, *more, "--wait")
        yield made


def pool(user: User, name: str, *options: str, port: int, members: Mapping[str, tuple[str, ...]]) -> None:
    """A pool with members, each at an address."""
    balanced = ("--protocol", "HTTP", "--lb-algorithm", "ROUND_ROBIN", "--loadbalancer", "lb")
    user.loadbalancer("pool", "create", "--name", name, *balanced, *options, "--wait")
    for address, subnet in members.items():
        user.loadbalancer("member", "create", "--address", address, "--protocol-port", str(port), *subnet, "--wait", name)


def listener(user: User, name: str, port: int, servers: str, *options: str) -> None:
    given = ("--protocol", "TERMINATED_HTTPS", "--protocol-port", str(port), "--default-tls-container-ref", "default")
    user.loadbalancer("listener", "create", "--name", name, *given, "--default-pool", servers, *options, "--wait", "lb")


def authority(user: User) -> Authority:
    directory = user.lab.directory
    return Authority.read((directory / record.AUTHORITY).read_bytes(), (directory / record.AUTHORITY_KEY).read_bytes())


def trusting(user: User) -> ssl.SSLContext:
    """A client that trusts the lab's authority, and wants the name that it asks for."""
    context = authority(user).client_context()
    context.check_hostname = True
    return context


def test_names_have_their_certificates_and_members_are_reached_by_routes_and_ports(user: User) -> None:
    places = user.lab.octavia.places
    reached: dict[str, tuple[str, ...]] = {
        # By way of the VIP's gateway, and from a port on the members' network.
        places["member-1"][0]: (),
        places["member-2"][1]: ("--subnet-id", "ipv6-private-subnet"),
    }
    pool(user, "plain", port=80, members=reached)
    listener(user, "web", 443, "plain", "--sni-container-refs", "shop", "blog")
    for name in ("shop.example", "www.shop.example", "a.blog.example", "default.example"):
        for address in (VIP, VIP6):
            assert user.get(address, 443, tls=trusting(user), server_name=name, host=name).status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        user.get(VIP, 443, tls=trusting(user), server_name="other.example")
    tls = authority(user).client_context()
    eventually(lambda: {user.get(VIP, 443, tls=tls).name for _ in range(4)} == {"member-1", "member-2"}, "an answer of both")


def test_members_with_tls_are_spoken_to_in_tls_and_clients_have_certificates(user: User) -> None:
    members = {addresses[0]: ("--subnet-id", "private-subnet") for addresses in user.lab.octavia.places.values()}
    pool(user, "encrypted", "--enable-tls", "--ca-tls-container-ref", "authority", port=443, members=members)
    listener(user, "guarded", 8443, "encrypted", "--client-authentication", "MANDATORY", "--client-ca-tls-container-ref", "authority")
    stranger, known = authority(user).client_context(), authority(user).client_context()
    known.load_cert_chain(user.lab.directory / CLIENT)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        user.get(VIP, 8443, tls=stranger)
    answer = user.get(VIP, 8443, tls=known)
    assert answer.status == 200
    assert answer.json()["arrival"]["tls"]["version"] == "TLSv1.3"
