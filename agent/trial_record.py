"""What is kept of a change that is on trial, beside the generations of its load balancer: what to go back to, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.errors import SystemFault
from agent.files import remove_file, replace_file

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "trial.json"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """`back_to`: the generation that is good, 0 where there was none; `until`: seconds since 1970; `within`: seconds it was given."""

    back_to: int
    until: float
    within: float


def read(place: Path) -> Record | None:
    """That of the load balancer whose directory is `place`. Raises OSError, SystemFault."""
    path = place / _NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise SystemFault(f"{path} cannot be read: {error}") from error


def write(place: Path, record: Record | None) -> None:
    """Keeps it, or None of it. Raises OSError."""
    if record is not None:
        replace_file(place / _NAME, msgspec.json.encode(record))
    elif place.is_dir():
        remove_file(place / _NAME)
