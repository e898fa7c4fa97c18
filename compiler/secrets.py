"""Secrets as the compiler takes them: bytes under names, never shown. Where they come from is the caller's business (files, the agent's API)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The names of a split secret's parts; a secret in one file (PEM bundle, PKCS#12, CRL) has the one part "bundle".
PARTS = ("bundle", "certificate", "private_key", "intermediates", "private_key_passphrase")


class Secret:
    """The parts of one secret, by the names in `PARTS`. `repr` and `str` show no content."""

    __slots__ = ("parts",)

    def __init__(self, parts: Mapping[str, bytes] | bytes) -> None:
        self.parts: dict[str, bytes] = {"bundle": parts} if isinstance(parts, bytes) else dict(parts)
        unknown = sorted(set(self.parts) - set(PARTS))
        if unknown or not self.parts:
            raise ValueError(f"a secret has parts of {', '.join(PARTS)}, not {', '.join(unknown) or 'none'}")

    def __repr__(self) -> str:
        return f"Secret(<{', '.join(sorted(self.parts))}>)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.parts.items())))


class Secrets(dict[str, Secret]):
    """reference → secret. `reasons` says, for a reference that could not be resolved, why: it becomes part of the problem's message."""

    def __init__(self, secrets: Mapping[str, Secret] | None = None, reasons: Mapping[str, str] | None = None) -> None:
        super().__init__(secrets or {})
        self.reasons = dict(reasons or {})

    def __repr__(self) -> str:
        return f"Secrets({sorted(self)})"
