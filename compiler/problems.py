"""`Problem`: one thing that is wrong with a graph, addressed so that a person or a program can find it.

Every code is registered here with its meaning; a code that is not, or is registered twice, is an error in the first test.
The documentation's table of codes is made from `CODES`.
"""

from __future__ import annotations

import difflib
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable


#: Problems that are told of one input; beyond, a person mends these first.
MOST_PROBLEMS = 1000


class Severity(StrEnum):
    """An error stops the build; a warning goes along with the bundle."""

    ERROR = "error"
    WARNING = "warning"


class ObjectRef(msgspec.Struct, frozen=True):
    """Which object of the graph: its type in the API's word (listener, pool, member …), its id and its name ("" where it has none)."""

    type: str
    id: str
    name: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.type, self.id, f"({self.name})" if self.name else "")))


#: code → what it means, for the documentation's table.
CODES: dict[str, str] = {
    # -- while loading
    "syntax": "The input is not JSON or YAML.",
    "too-large": "The input is larger, deeper or more repetitive (YAML aliases) than a load balancer can be.",
    "too-many-problems": "So much is wrong that the rest is not told.",
    "not-a-load-balancer": "The document does not hold a load balancer: neither `loadbalancer: {…}` nor its fields.",
    "unknown-field": "The field is not one of the Octavia API's or Hydria's.",
    "duplicate-field": "The same field is given twice in one object.",
    "missing-field": "A field that is needed is missing.",
    "wrong-type": "The value is of another type than the field takes.",
    "invalid-value": "The value is not one of those the field takes, is out of range, or is not formed as it must be.",
    # -- references and identity
    "duplicate-id": "Two objects have the same id.",
    "dangling-reference": "An id or name refers to nothing in this document.",
    "ambiguous-reference": "A name refers to more than one object.",
    "conflicting-fields": "Two fields say different things, or cannot be given together.",
    "duplicate-member": "Two members of a pool have the same address and port.",
    "duplicate-port": "Two listeners would bind the same port of the same transport.",
    # -- what goes with what
    "incompatible-protocols": "The listener's protocol cannot carry the pool's.",
    "incompatible-monitor": "The health monitor's type does not go with the pool's protocol.",
    "incompatible-persistence": "The session persistence does not go with the pool's protocol.",
    "incompatible-policy": "L7 policies, or this rule, do not go with the listener's protocol.",
    "incompatible-header": "The header cannot be inserted by a listener of this protocol.",
    "incompatible-family": "The address family has no VIP (or no member) to go with.",
    "not-applicable": "The field is given but has no meaning for this object; it is left out.",
    "inexpressible": "The value cannot be expressed in the configuration of HAProxy or keepalived.",
    "too-many": "More of something than HAProxy takes in one place.",
    "monitor-timing": "The monitor's timeout must be smaller than its delay.",
    "unsupported-by-target": "The HAProxy or keepalived of the target lacks what this needs.",
    "invalid-target": "The target is not usable.",
    # -- TLS
    "unknown-secret": "The reference names no secret that was given.",
    "bad-secret": "The secret does not parse, is incomplete, or its parts do not belong together.",
    "expired": "A certificate has ended, or a revocation list was not renewed in time.",
    "not-yet-valid": "The time of a certificate or a revocation list has not begun.",
    # -- resources
    "memory-budget": "Two generations of HAProxy, as there are during a reload, may need more memory than the target has.",
    # -- what the real programs say
    "rejected-by-haproxy": "`haproxy -c` refused the configuration.",
    "haproxy-warning": "`haproxy -c` warned about the configuration.",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One finding.

    `path` is the field's place in the input (`loadbalancer.listeners[0].protocol_port`), `message` says what was given and what is
    allowed, `hint` what was probably meant; `line` and `column` (both from 1) are known where the input was text.
    """

    severity: Severity = Severity.ERROR
    object: ObjectRef | None = None
    path: str = ""
    code: str
    message: str
    hint: str | None = None
    line: int | None = None
    column: int | None = None

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise KeyError(f"problem code {self.code!r} is not registered in compiler.problems.CODES")

    def __str__(self) -> str:
        where = f"{self.line}:{self.column}: " if self.line is not None else ""
        who = f" [{self.object}]" if self.object else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.severity}: {self.path or 'input'}: {self.message}{hint}{who} <{self.code}>"


def has_errors(problems: Iterable[Problem]) -> bool:
    """Whether any of `problems` stops a build."""
    return any(problem.severity is Severity.ERROR for problem in problems)


def did_you_mean(given: str, known: Iterable[str]) -> str | None:
    """A hint that names the known word nearest to `given`, or None where none is near."""
    return _nearest(given[:100], tuple(known))


@lru_cache(maxsize=256)  # the same mistake is often made in every member
def _nearest(given: str, known: tuple[str, ...]) -> str | None:
    near = difflib.get_close_matches(given, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else None
