"""What comes in a URL, made safe before it touches a path: ids are UUIDs, certificates' names are plain file names."""

from __future__ import annotations

import re
import uuid

from agent.errors import InvalidRequest

CERTIFICATE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.pem")
ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}")


def object_id(text: str, what: str = "id") -> str:
    """A UUID as Octavia writes it, in lower case with hyphens. Raises InvalidRequest."""
    if not ID.fullmatch(text):
        raise InvalidRequest(f"{what}: {text[:100]!r} given; a UUID is needed, as 5d2f0d3e-6c1b-4a55-8d5e-0b6b7e1b6a10")
    return str(uuid.UUID(text))


def is_object_id(text: str) -> bool:
    """Whether it is a UUID in the form that `object_id` gives."""
    return bool(ID.fullmatch(text)) and str(uuid.UUID(text)) == text


def certificate_name(text: str) -> str:
    """The file name of a certificate, a CRL or a list of certificates. Raises InvalidRequest."""
    if not CERTIFICATE_NAME.fullmatch(text):
        raise InvalidRequest(f"certificate: {text[:100]!r} given; a file name of letters, digits and ._- that ends in .pem is needed")
    return text
