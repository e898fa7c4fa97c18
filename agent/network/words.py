"""Addresses, networks and hardware addresses as text in its one canonical form: what equals is equal, and what is malformed never comes in."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Literal, Self, cast

Family = Literal[4, 6]


class Address(str):
    """An IPv4 or IPv6 address."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError, which says what was given."""
        # Python takes a zone (`fe80::1%eth0`) for part of an address; here it would be part of a request, so of nobody's interface.
        if "%" in text:
            raise ValueError(f"{text[:100]!r} given; an IP address without a zone is needed")
        try:
            return cls(ipaddress.ip_address(text))
        except ValueError as error:
            raise ValueError(f"{text[:100]!r} given; an IP address is needed") from error

    @property
    def version(self) -> Family:
        """4 or 6."""
        return 6 if ":" in self else 4

    @property
    def bits(self) -> int:
        """The length of the prefix that is the whole address."""
        return 128 if self.version == 6 else 32

    def is_unicast(self) -> bool:
        """Whether a machine can have it: no multicast, loopback, broadcast or unspecified one."""
        address = ipaddress.ip_address(self)
        reserved = address.version == 4 and address.is_reserved
        return not (address.is_multicast or address.is_loopback or address.is_unspecified or reserved)


class Subnet(str):
    """A network: `192.0.2.0/24`, `2001:db8::/64`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Bits behind the prefix are cleared. Raises ValueError, which says what was given."""
        try:
            if "%" in text:
                raise ValueError("a zone")  # noqa: TRY301  (told as every other mistake)
            return cls(ipaddress.ip_network(text, strict=False))
        except ValueError as error:
            raise ValueError(f"{text[:100]!r} given; a network as 192.0.2.0/24 or 2001:db8::/64 is needed") from error

    @classmethod
    def around(cls, address: Address, prefix: int) -> Self:
        """The network of this size that the address is in."""
        return cls(ipaddress.ip_network(f"{address}/{prefix}", strict=False))

    @classmethod
    def everything(cls, version: Family) -> Self:
        """The destination of a default route."""
        return cls("::/0" if version == 6 else "0.0.0.0/0")

    @property
    def version(self) -> Family:
        """4 or 6."""
        return 6 if ":" in self else 4

    @property
    def prefix(self) -> int:
        """Its length in bits."""
        return int(self.partition("/")[2])


MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class Mac(str):
    """The hardware address of one interface: six bytes in lower case, `fa:16:3e:00:00:01`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError, which says what was given."""
        lower = text.lower().replace("-", ":")
        # The lowest bit of the first byte says that it is a group's address.
        if not MAC.fullmatch(lower) or int(lower[:2], 16) & 1 or lower == "00:00:00:00:00:00":
            raise ValueError(f"{text[:100]!r} given; the hardware address of an interface is needed, as fa:16:3e:00:00:01")
        return cls(lower)


def decode(wanted: type, value: Any) -> Any:
    """For msgspec: makes these of JSON strings, with a ValueError where one cannot be."""
    if not isinstance(value, str):
        raise TypeError(f"a string is needed, {type(value).__name__} given")
    return cast("type[Address | Subnet | Mac]", wanted).parse(value)
