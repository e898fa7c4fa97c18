"""Until when certificates are valid: the one thing in them that metrics tell. Pure.

A whole X.509 library takes more memory than all the rest of the agent, so this reads its few bytes by itself (RFC 5280 4.1; X.690 8.1).
"""

from __future__ import annotations

import binascii
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18

#: A certificate without an end has this one (RFC 5280 4.1.2.5).
FOREVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


class _Element(NamedTuple):
    tag: int
    content: bytes


def first_end(pem: bytes) -> datetime | None:
    """The moment at which the first of a file's certificates ends to be valid; None where there is none. Raises ValueError."""
    return min((ends(binascii.a2b_base64(body)) for body in _bodies(pem)), default=None)


def _bodies(pem: bytes) -> Iterator[bytes]:
    """What stands between the marks, in one pass whatever the file holds: nobody has looked at it before."""
    place = 0
    while (begin := pem.find(_BEGIN, place)) >= 0 and (end := pem.find(_END, begin)) >= 0:
        # A mark that is not ended before the next one begins nothing.
        yield pem[pem.rfind(_BEGIN, begin, end) + len(_BEGIN) : end]
        place = end + len(_END)


def ends(der: bytes) -> datetime:
    """The moment at which a certificate ends to be valid. Raises ValueError where it is none."""
    try:
        certificate = next(_elements(der))
        to_be_signed = next(_elements(certificate.content))
        fields = _elements(to_be_signed.content)
        # Before the validity there are the version, which may be left out, serial number, signature and issuer.
        if next(fields).tag == _VERSION:
            next(fields)
        next(fields)
        next(fields)
        validity = next(fields)
        if not certificate.tag == to_be_signed.tag == validity.tag == _SEQUENCE:
            raise ValueError("this is not a certificate")
        _, end = _elements(validity.content)
    except (StopIteration, IndexError) as error:
        raise ValueError("this is not a certificate") from error
    return _moment(end)


def _elements(content: bytes) -> Iterator[_Element]:
    place = 0
    while place < len(content):
        tag, length = content[place], content[place + 1]
        place += 2
        if length & 0x80:
            width = length & 0x7F
            if not 1 <= width <= 4:
                raise ValueError("this is not DER")
            length = int.from_bytes(content[place : place + width], "big")
            place += width
        if place + length > len(content):
            raise ValueError("this is not whole")
        yield _Element(tag, content[place : place + length])
        place += length


def _moment(element: _Element) -> datetime:
    text = element.content.decode("ascii")
    if element.tag == _UTC_TIME:
        # RFC 5280 4.1.2.5.1: two digits of the year, from 50 on in the century before.
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    elif element.tag != _GENERALIZED_TIME:
        raise ValueError("this is not a time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
