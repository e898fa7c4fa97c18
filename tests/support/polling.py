"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_PATIENCE = 20.0
_BETWEEN = 0.02


def eventually(look: Callable[[], T], what: str = "the condition", patience: float = _PATIENCE) -> T:
    """Calls `look` until it gives something true, and returns that; an AssertionError with the last answer after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what} did not come about in {patience} s; last seen: {seen!r}"
        time.sleep(_BETWEEN)
    return seen


def settled(look: Callable[[], T], wanted: T, what: str = "what is seen", patience: float = _PATIENCE) -> None:
    """Calls `look` until it gives what is wanted; an AssertionError with both after `patience` seconds."""
    deadline = time.monotonic() + patience
    while (seen := look()) != wanted:
        assert time.monotonic() < deadline, f"{what} was not {wanted!r} within {patience} s; last seen: {seen!r}"
        time.sleep(_BETWEEN)
