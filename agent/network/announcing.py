"""Telling the neighbours that an address is here: gratuitous ARP (RFC 5227, 3) and unsolicited neighbor advertisements (RFC 4861, 7.2.6).

Who had the address in its neighbour table, with another hardware address, corrects that at once instead of sending into the void.
"""

from __future__ import annotations

import socket
import struct

from agent.network.kernel import Link
from agent.network.words import Address

_ARP = 0x0806
_BROADCAST = b"\xff" * 6
_ALL_NODES = "ff02::1"
_NEIGHBOR_ADVERTISEMENT = 136
#: We are a router (the kernel forwards), and this overrides what was known before.
_ROUTER_AND_OVERRIDE = 0xA0000000


def announce(link: Link, address: Address) -> None:
    """Tells everybody on the link. The calling thread must be in the link's namespace. Raises OSError."""
    mac = bytes.fromhex(link.mac.replace(":", ""))
    if address.version == 4:
        _gratuitous_arp(link, address, mac)
    else:
        _neighbor_advertisement(link, address, mac)


def _gratuitous_arp(link: Link, address: Address, mac: bytes) -> None:
    packed = socket.inet_pton(socket.AF_INET, address)
    # A request for our own address: Ethernet and IPv4, 6 and 4 bytes long, operation 1.
    packet = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + packed + bytes(6) + packed
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ARP)) as sender:
        sender.bind((link.name, _ARP))
        sender.send(_BROADCAST + mac + struct.pack("!H", _ARP) + packet)


def _neighbor_advertisement(link: Link, address: Address, mac: bytes) -> None:
    target = socket.inet_pton(socket.AF_INET6, address)
    # Type, code, a checksum that the kernel fills in, flags, target; option 2, of 1 times 8 bytes: the target's hardware address.
    packet = struct.pack("!BBHI", _NEIGHBOR_ADVERTISEMENT, 0, 0, _ROUTER_AND_OVERRIDE) + target + struct.pack("!BB", 2, 1) + mac
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sender:
        # With fewer hops left, it may come from elsewhere, and is not believed (RFC 4861, 7.1.2).
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        sender.bind((address, 0, 0, link.index))
        sender.sendto(packet, (_ALL_NODES, 0, 0, link.index))
