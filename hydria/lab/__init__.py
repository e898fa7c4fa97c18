"""Hydria's lab: real servers, certificates and clients on one machine, and the demonstration that is made of them.

Rules of this package:

* It uses only what any user could: `compiler` and `agent` through their public contracts. Nothing below knows the lab.
* Only loopback addresses, only ports that the kernel has chosen and that are held while they are needed.
* It leaves nothing behind: every thread, process, socket and directory belongs to a context manager that ends it.
* What the lab says was seen by a real client or server, on a real connection. Nothing is assumed from the configuration.
"""
