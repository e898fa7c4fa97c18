"""What is kept of drains for the next agent: a file that is good as long as the machine runs, as the drains themselves are."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.errors import SystemFault
from agent.files import remove_file, replace_file

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Order(msgspec.Struct):
    """A member that is to get no new clients. `until`: seconds of the machine's clock that never goes back, which begins anew when it boots;
    `ended`: its connections have been ended then; `told`: the worker that serves knows.
    """

    loadbalancer: str
    member: str
    until: float
    ended: bool = False
    told: bool = False


class _Kept(msgspec.Struct):
    boot: str
    orders: list[Order]


def read(path: Path) -> list[Order]:
    """Those of this uptime. Raises OSError, SystemFault."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        return []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SystemFault(f"{path} cannot be read: {error}") from error
    return kept.orders if kept.boot == _boot() else []


def write(path: Path, orders: list[Order]) -> None:
    """Keeps them. Raises OSError."""
    if orders:
        replace_file(path, msgspec.json.encode(_Kept(_boot(), orders)))
    else:
        remove_file(path)


def _boot() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip()
