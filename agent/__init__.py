"""Hydria's agent: what runs on the machine that carries the traffic. It puts bundles in place and makes the real HAProxy serve them.

Rules of this package:

* Everything outside comes in as an explicit collaborator: who runs programs (`Runner`), what time it is (`Clock`), where things are (paths).
* HAProxy is judged by its sockets: the master says which workers there are, the worker answers on its stats socket. Never by the text
  of a log, never by waiting a fixed time. Its own words are kept for a person to read, not for a program to decide on.
* Everything that waits has a deadline, everything that is read has a bound.
* Whoever starts a process ends it, with all that it started, by its id, also when the starter dies.
* A file is whole or absent: written under another name, synced, renamed. Secrets are written 0600, in a directory of their own.
* Errors (`errors.py`) say whose fault it is and carry a stable code; nothing is swallowed.
* May import `compiler`, `fastpath` and `templates`, nothing else of ours.
"""
