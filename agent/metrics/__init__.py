"""Metrics, as Prometheus reads them: what a PROMETHEUS listener serves, and what the agent tells of itself.

Rules of this package:

* A PROMETHEUS listener has the names and labels that Octavia has (`names.csv`: HAProxy's exporter's name, Octavia's, and what becomes of labels).
  What has no name there is not served. What HELP says is in our own words.
* Metrics of 20 000 members are more than 100 MB. Nothing here ever has them as a whole, or looks at them line by line.
* It all happens in threads of the process that there is, and only while somebody may ask.
* `translation.py` and `validity.py` are pure: bytes in, bytes out.
"""
