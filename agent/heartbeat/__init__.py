"""The heartbeat: what the amphora tells its controllers by UDP, so that they know that it lives, what its objects' states are and what it moved.

Rules of this package:

* The receiver is Octavia's, unmodified, and it believes what a message leaves out, too: a listener that is not in it is in ERROR, a pool
  OFFLINE, a member OFFLINE unless it had no monitor. So a message is complete, or leaves out only what the receiver then leaves alone (`telling.py`).
* No beat is better than a wrong one: where HAProxy runs but cannot be asked, nothing is sent.
* Counters are told as differences, and a difference is told once: it is owed from the look that found it to the send that took it (`counters.py`).
* A worker of HAProxy counts a connection's bytes when the connection ends, and an old one exits at once when its last one does. So each
  worker is held by a connection of ours until its counters have been read for the last time (`workers.py`).
* What fails is counted and logged when it begins to fail and when it ends; never swallowed.
"""
