"""Hydria's lab: amphorae, members, certificates and clients on one machine, and the demonstration that is made of them.

Rules of this package:

* It uses only what any user could: `compiler` and `agent` through their public contracts. Nothing below knows the lab.
* Nothing of it is in the machine's own network. A lab is below one process, its hypervisor, whose end is the end of all; what must be known
  to end it is on the disk before it is made (`record`). On loopback: only ports that the kernel has chosen and that are held while needed.
* It leaves nothing behind: every thread, process, socket and directory belongs to a context manager that ends it, or to a hypervisor.
* `topology`, `timeline` and what counts in `load` are functions of their arguments; namespaces, netlink and processes are at the edges
  (`syscalls`, `namespaces`, `bridges`, `calls`, `pid_one`). `pid_one` imports little: it is what a machine costs.
* What the lab says was seen by a real client or server, on a real connection. Nothing is assumed from the configuration.
"""
