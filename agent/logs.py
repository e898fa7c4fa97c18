"""What the agent says about itself: one event a line on standard error, JSON or, on a terminal, for reading. Those of libraries likewise.

gunicorn's main process hardly ever has something to say, so what it would take to say it (`agent.log_lines`) is imported when it has.
"""

from __future__ import annotations

import logging
import sys
from functools import cached_property
from typing import Any

from gunicorn.glogging import Logger


def configure(*, debug: bool, as_json: bool) -> None:
    """For the whole process, and those that it forks. Who logs with structlog calls `log_lines.configure` besides."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(as_json=as_json))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(debug=debug)


class _Formatter(logging.Formatter):
    """That of `agent.log_lines`, made when there is something to say."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    @cached_property
    def _real(self) -> logging.Formatter:
        from agent import log_lines  # noqa: PLC0415 - see above

        return log_lines.formatter(as_json=self._as_json)

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return self._real.format(record)


def set_level(*, debug: bool) -> None:
    """How much is said."""
    logging.getLogger().setLevel(logging.DEBUG if debug else logging.INFO)


class ServerLog(Logger):
    """gunicorn's events among ours. Requests are logged by the application, which knows more about them."""

    def setup(self, cfg: Any) -> None:
        """Leaves everything to `configure`."""
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.propagate = True
        # gunicorn tells its life at level info, which with one worker of ours is detail; at level debug all of its settings.
        self.error_log.setLevel(logging.INFO if logging.getLogger().level <= logging.DEBUG else logging.WARNING)

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Nothing."""

    def reopen_files(self) -> None:
        """There are none."""

    def close_on_exec(self) -> None:
        """There are none."""
