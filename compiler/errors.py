"""What the compiler raises. Problems of the caller's graph are data (`compiler.problems`), not exceptions, until somebody needs to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compiler.problems import Problem


class CompilerError(Exception):
    """Base of all errors of this package; never raised itself."""

    code: str = "compiler-error"


class ProblemError(CompilerError):
    """The caller's graph cannot be used; `problems` holds everything that was found, not only the first."""

    code = "graph-problems"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SystemFault(CompilerError):  # noqa: N818  (the design's name: it says whose fault it is)
    """Hydria itself is wrong: a raw string reached a template, a checked value could not be expressed. Please report it."""

    code = "system-fault"
