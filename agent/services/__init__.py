"""How the agent runs programs that outlive it: `Program` is what is to run, `Services` the interface, `systemd` and `supervised` the two ways.

Rules of this package:

* A program that was started runs on when the agent dies, comes back when it crashes, and is there again after a reboot, until it is stopped.
* Whether a program runs is asked of the kernel (process id and start time) or of systemd, never guessed from a file.
* It knows programs, not load balancers.
"""
