"""What the agent says about itself: one event a line on standard error, JSON or, on a terminal, for reading. Those of libraries likewise."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gunicorn.glogging import Logger


@contextmanager
def _without(name: str) -> Iterator[None]:
    """While this lasts, no module of this name can be imported."""
    known = sys.modules.get(name)
    # The import system's own word for it.
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        if known is not None:
            sys.modules[name] = known


# Where there is rich, structlog imports it, for tracebacks with the values of variables: five megabytes for what is not wanted. Whoever
# uses this module imports it before others that log.
with _without("rich"):
    import structlog


def configure(*, debug: bool, as_json: bool) -> None:
    """For the whole process. Tracebacks come without the values of variables, which may be keys."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    plain = structlog.dev.plain_traceback
    look: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *look]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(debug=debug)


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
