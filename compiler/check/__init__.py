"""What types cannot say about a graph. One file a subject; each function takes a `Report` and the objects, and adds what it finds.

Rules: report everything, never only the first; say what was given and what is allowed; leave nothing for HAProxy to find that can
be known here. A value that HAProxy cannot express, or would read otherwise than the user meant, is an error; what is merely useless
is a warning. `compiler.lower` may rely on a graph without errors.
"""

from __future__ import annotations

import datetime as dt

from compiler.check import listeners, lvs, memory, pools, references, tls
from compiler.check.report import Report
from compiler.index import Index
from compiler.material import Material
from compiler.problems import Problem
from compiler.target import Target


def check(index: Index, target: Target, material: Material, now: dt.datetime | None = None) -> list[Problem]:
    """Everything that is wrong with the graph for this target and with this material, in the document's order."""
    report = Report(index)
    references.check(report)
    listeners.check(report, target)
    pools.check(report, target)
    lvs.check(report)
    tls.check(report, material, now)
    memory.check(report, target)
    return report.problems
