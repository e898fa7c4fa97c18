"""What `make bench` measures. Rules of this package:

* A module measures one thing: `run()` gives its tables. `__main__.py` lists the modules.
* Competitors run beside ours in the same run, on the same input, and give the same answer where they can: what counts is the ratio.
* The best of several rounds counts; a round is long enough for the clock.
* Nothing here passes or fails; claims are tested in `tests/`.
"""
