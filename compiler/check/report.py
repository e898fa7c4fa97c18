"""`Report`: where checks put what they find."""

from __future__ import annotations

from typing import Any

from compiler import quoting
from compiler.index import Index, Object, reference
from compiler.problems import MOST_PROBLEMS, Problem, Severity


class Report:
    """Collects problems of one graph, addressed by object and field."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.graph = index.graph
        self.problems: list[Problem] = []

    def error(self, node: Object, field: str, code: str, message: str, hint: str | None = None) -> None:
        """`field` may go deeper: `session_persistence.cookie_name`, `allowed_cidrs[2]`; "" means the object itself."""
        self._add(node, field, severity=Severity.ERROR, code=code, message=message, hint=hint)

    def warning(self, node: Object, field: str, code: str, message: str, hint: str | None = None) -> None:
        """As `error`, for what does not stop a build."""
        self._add(node, field, severity=Severity.WARNING, code=code, message=message, hint=hint)

    def _add(self, node: Object, field: str, **said: Any) -> None:
        if len(self.problems) >= MOST_PROBLEMS:
            if self.problems[-1].code != "too-many-problems":
                told = f"more than {MOST_PROBLEMS} problems; mend these first"
                self.problems.append(Problem(path="loadbalancer", code="too-many-problems", message=told))
            return
        path = self.index.path(node) + (f".{field}" if field else "")
        self.problems.append(Problem(object=reference(node), path=path, **said))

    def word(self, node: Object, field: str, value: str) -> bool:
        """Reports and returns False where the value cannot be a word of a configuration."""
        reason = quoting.reason_against(value)
        if reason:
            self.error(node, field, "inexpressible", f"{shown(value)} given: {reason}")
        return reason is None

    def address(self, node: Object, field: str, value: str) -> bool:
        """Reports and returns False where the value is not an IP address."""
        if quoting.is_address(value):
            return True
        self.error(node, field, "invalid-value", f"{shown(value)} given; an IPv4 or IPv6 address is needed")
        return False


def shown(value: str) -> str:
    """A value as a message quotes it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
