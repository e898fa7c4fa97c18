"""Octavia's control plane on one machine: `python -m hydria.octavia.control DIRECTORY`, in the hypervisor of the lab in DIRECTORY.

Rules of this package:

* Everything that Octavia does, its own code does: API, worker, health manager and housekeeping are started as Octavia's commands start them, each a process.
  What is here is what a cloud would have around them: a configuration, a database, who answers for networks and projects.
* API and worker are one process where what they have to say to each other goes by a transport that is in one (`fake://`), and two where one is given.
* `given` runs where the user is, `keystone` in processes of its own.
* `configuration` and `lookups` are functions of their arguments.
"""
