"""Hydria's compiler: a load-balancer graph in, a bundle of configuration files out.

Rules of this package:

* Pure functions and frozen structs. No `os`, `socket`, `subprocess`, no clock, no randomness: what must be known comes in as an argument.
* The stages are `load` (text → graph), `check` (graph → problems), `lower` (graph + target → IR), `render` (IR → text); each knows only its own.
* Everything that is wrong is a `Problem` (`problems.py`), all at once. Nothing that a user wrote is altered silently.
* A user's string becomes configuration text only in `quoting.py`; templates refuse anything else.
* Same graph and target → the same bytes. The number and kind of lines depend on the shape of the graph, never on what is in a string.
* May import `fastpath` and `templates`, nothing else of ours.
"""
