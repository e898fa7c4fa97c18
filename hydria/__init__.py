"""Hydria's face: the `hydria` command, and what else people and other programs meet first.

Rules of this package:

* It is built on `compiler` and `agent` through what they offer everybody; nothing below knows it.
* Whatever a person sees says what to do next: the object, the field, what was given, what is allowed.
* Importing it costs nothing: what a verb needs is imported when the verb is used.
"""
