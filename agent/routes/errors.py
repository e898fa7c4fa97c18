"""Every failure as an answer: JSON, with one of the statuses that Octavia's controller takes for a failure."""

from __future__ import annotations

from http import HTTPStatus

import flask
import structlog
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from agent.errors import AgentError, GraphRefused

_log = structlog.get_logger(__name__)

#: Octavia's controller takes any other status for success.
UNDERSTOOD = frozenset({400, 401, 403, 404, 405, 409, 500, 503})

_HEADLINES = {400: "Invalid request", 404: "Not found", 409: "Conflict", 500: "Internal server error", 503: "Service unavailable"}


def register(app: flask.Flask) -> None:
    """Makes `app` answer errors this way."""
    app.register_error_handler(AgentError, _of_ours)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _unforeseen)


def understood(status: int) -> int:
    """The status of the contract that is nearest to one of HTTP's errors."""
    return status if status in UNDERSTOOD else 500 if status >= 500 else 400


def _of_ours(error: AgentError) -> flask.Response:
    if error.status >= 500:
        _log.error("request failed", code=error.code, error=str(error))
    flask.g.outcome = error.code
    headline = _HEADLINES.get(error.status) or HTTPStatus(error.status).phrase
    body: dict[str, object] = {"message": headline, "details": str(error), "code": error.code}
    return _answer(error.status, body | ({"problems": error.problems} if isinstance(error, GraphRefused) else {}))


def _of_http(error: HTTPException) -> flask.Response:
    status = understood(error.code or 500)
    flask.g.outcome = str(status)
    said = error.description or HTTPStatus(status).phrase
    if isinstance(error, RequestEntityTooLarge):
        said = f"the body is larger than the {(flask.request.max_content_length or 1) - 1} bytes that are allowed here"
    answer = _answer(status, {"error": f"{status} {HTTPStatus(status).phrase}: {said}", "http_code": status})
    if error.get_response().headers.get("Allow"):
        answer.headers["Allow"] = error.get_response().headers["Allow"]
    return answer


def _unforeseen(error: Exception) -> flask.Response:
    # What failed is for the log; who called gets no more than what the system said, and where to look.
    _log.error("request failed", exc_info=error)
    flask.g.outcome = "internal"
    said = f"{error.strerror}; " if isinstance(error, OSError) and error.strerror else ""
    details = f"{said}the agent's log tells more, at request {flask.g.get('request_id', '?')}"
    return _answer(500, {"message": _HEADLINES[500], "details": details, "code": "internal"})


def _answer(status: int, body: dict[str, object]) -> flask.Response:
    answer = flask.jsonify(body)
    answer.status_code = status
    return answer
