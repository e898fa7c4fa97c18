"""What stands in front of Octavia's API, as a cloud has more than one service: a WSGI application that answers look-ups and says who asks."""

from __future__ import annotations

import json
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Answer = tuple[int, dict[str, Any]]
    Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

#: What those may do who do not say: everything.
_ROLES = "admin"
_REASONS = {200: "200 OK", 404: "404 Not Found"}


class Front:
    """`lookups`: what is answered for a path and its query, None where that is Octavia's to answer. `project`: who asks, where nobody says who;
    None where that is Octavia's to find out. `one_writer`: the database takes one change at a time.
    """

    def __init__(
        self,
        api: Application,
        lookups: Callable[[str, list[tuple[str, str]]], Answer | None],
        project: str | None,
        *,
        one_writer: bool = True,
    ) -> None:
        self._api = api
        self._lookups = lookups
        self._project = project
        self._changing = threading.Lock() if one_writer else nullcontext()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """As PEP 3333 has it."""
        reading = environ["REQUEST_METHOD"] in ("GET", "HEAD")
        if reading:
            answer = self._lookups(environ.get("PATH_INFO", ""), parse_qsl(environ.get("QUERY_STRING", "")))
            if answer is not None:
                status, document = answer
                start_response(_REASONS[status], [("Content-Type", "application/json")])
                return [json.dumps(document).encode()]
        if self._project is not None:
            environ["HTTP_X_PROJECT_ID"] = environ.get("HTTP_X_PROJECT_ID") or self._project
            environ["HTTP_X_ROLES"] = environ.get("HTTP_X_ROLES") or _ROLES
        if reading:
            return self._api(environ, start_response)
        # There is one lock for all who write to the database: who waits here does not wait there, with something half done.
        with self._changing:
            return list(self._api(environ, start_response))
