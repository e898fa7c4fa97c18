"""The amphora's network: a namespace with the interfaces, addresses, routes and rules that the controller asked for, and nothing else of ours.

Rules of this package:

* What is wanted is in a file for each interface before anything is done about it; making it so (`reconcile`) may be done again at any time.
* Everything in the kernel that is ours can be told from what is not: by the protocol of routes and rules, by the names of tables.
  What is not ours is never touched.
* All of netlink goes through one place, one thread at a time.
"""
