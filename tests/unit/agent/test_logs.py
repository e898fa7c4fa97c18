"""What the agent says about itself, in a process of its own: a process has one log."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging, sys
from agent import logs
import structlog
logs.configure(debug="debug" in sys.argv, as_json="json" in sys.argv)
log = structlog.get_logger("agent.test")
log.debug("detail")
with structlog.contextvars.bound_contextvars(request_id="abc"):
    log.info("ours", number=1, text="two\\nlines")
logging.getLogger("library").warning("of a library %s", "x")
def fail():
    key = "very-secret"
    raise ValueError("wrong")
try:
    fail()
except ValueError:
    log.exception("failed")
"""


def said(*options: str) -> str:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *options], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


def test_json_is_an_event_a_line() -> None:
    ours, library, failed = map(json.loads, said("json").splitlines())
    assert {"event": "ours", "level": "info", "number": 1, "text": "two\nlines", "request_id": "abc"}.items() <= ours.items()
    assert {"event": "of a library x", "level": "warning"}.items() <= library.items()
    assert failed["event"] == "failed"
    assert "ValueError: wrong" in failed["exception"]
    assert "timestamp" in ours


def test_tracebacks_tell_no_values() -> None:
    assert "very-secret" not in said("json").replace('key = "very-secret"', "") + said().replace('key = "very-secret"', "")


def test_debug_tells_more() -> None:
    assert "detail" not in said("json")
    assert "detail" in said("json", "debug")


def test_for_reading() -> None:
    text = said()
    assert "ours" in text
    assert "of a library x" in text
    assert "ValueError: wrong" in text
