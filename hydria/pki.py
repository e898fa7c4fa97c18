"""The two authorities of an installation and what they issue, as files: the one place that knows what each side needs, and where.

A file is its content and its mode. `hydria certs` and the lab write them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydria.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hydria.authority import Certificate

ORGANISATION = "Hydria"

#: The roles that certificates of an authority are for, in the names of its files, and whose authority that is.
ROLES = {"server": "agents", "client": "controllers"}

#: What is not secret may be read by everybody.
_SECRET, _OPEN = 0o600, 0o644

Files = dict[str, tuple[bytes, int]]


def authorities(days: int) -> dict[str, Authority]:
    """Both, by role, new."""
    return {role: Authority.create(f"Hydria {whose} CA", organisation=ORGANISATION, days=days) for role, whose in ROLES.items()}


def read_authority(directory: Path, role: str) -> Authority:
    """One that is in `directory`. Raises OSError; ValueError, which says what is wrong with it."""
    return Authority.read((directory / f"{role}_ca.pem").read_bytes(), (directory / f"{role}_ca.key").read_bytes())


def authority_files(made: Mapping[str, Authority]) -> Files:
    """What is kept of them."""
    files: Files = {f"{role}_ca.key": (authority.key_pem, _SECRET) for role, authority in made.items()}
    return files | {f"{role}_ca.pem": (authority.certificate_pem, _OPEN) for role, authority in made.items()}


def agent_files(made: Mapping[str, Authority], amphora: str, days: int) -> tuple[Certificate, Files]:
    """What the agent of an amphora needs."""
    issued = made["server"].issue("server", amphora, [amphora], organisation=ORGANISATION, days=days)
    return issued, {"server.pem": (_pair(issued), _SECRET), "client_ca.pem": (made["client"].certificate_pem, _OPEN)}


def controller_files(made: Mapping[str, Authority], name: str, days: int) -> tuple[Certificate, Files]:
    """What somebody needs who drives agents."""
    issued = made["client"].issue("client", name, organisation=ORGANISATION, days=days)
    return issued, {"client.pem": (_pair(issued), _SECRET), "server_ca.pem": (made["server"].certificate_pem, _OPEN)}


def _pair(issued: Certificate) -> bytes:
    return issued.certificate_pem + issued.key_pem
