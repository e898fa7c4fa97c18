"""Hydria's fastpath: what must run at the speed of memory, compiled with Cython.

Rules of this package:

* It knows bytes and integers: no addresses as text, no graphs, no load balancers. Whoever calls it parses first and explains afterwards.
* What a call gives is a pure function of its arguments: no I/O, no clock, no state that changes after construction. So all of it may be
  used from several threads at once, with or without the interpreter's lock, and long loops release that lock.
* There is no slower twin to fall back to: a missing extension is an ImportError. The plain-Python oracles live in `tests/`.
* Bad arguments are a ValueError or TypeError that says which, what was given and what is allowed; never a crash or a wrong number.
* Every module has a `.pyi` beside it, and its C compiles without a warning under `-Wall -Wextra -Wconversion`.
* Imports nothing of ours.
"""
