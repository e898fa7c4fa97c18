"""Hydria's compiler: a load-balancer graph in, a bundle of configuration files out.

Rules of this package:

* Pure functions and frozen structs. No `os`, `socket`, `subprocess`, no clock, no randomness: what must be known comes in as an argument.
* The stages are `load` (text → graph), `check` (graph → problems), `lower` (graph + target → IR), `render` (IR → text); each knows only its own.
* Everything that is wrong is a `Problem` (`problems.py`), all at once. Nothing that a user wrote is altered silently.
* A user's string becomes configuration text only in `quoting.py`; templates refuse anything else.
* Same graph and target → the same bytes. The number and kind of lines depend on the shape of the graph, never on what is in a string.
* May import `fastpath` and `templates`, nothing else of ours.
"""

from __future__ import annotations

from compiler.blame import blame
from compiler.build import build
from compiler.bundle import HAPROXY_CFG, Bundle, File, Origin, SourceMap
from compiler.errors import CompilerError, ProblemError, SystemFault
from compiler.graph import LoadBalancer
from compiler.index import secret_references
from compiler.load import load
from compiler.load import with_places as locate
from compiler.problems import CODES, ObjectRef, Problem, Severity, has_errors
from compiler.secrets import Secret, Secrets
from compiler.target import Target, Topology

__all__ = [
    "CODES",
    "HAPROXY_CFG",
    "Bundle",
    "CompilerError",
    "File",
    "LoadBalancer",
    "ObjectRef",
    "Origin",
    "Problem",
    "ProblemError",
    "Secret",
    "Secrets",
    "Severity",
    "SourceMap",
    "SystemFault",
    "Target",
    "Topology",
    "blame",
    "build",
    "has_errors",
    "load",
    "locate",
    "secret_references",
]
