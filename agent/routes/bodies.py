"""What comes in a request's body, with a bound for each kind, and what goes out."""

from __future__ import annotations

import hashlib

import flask
from werkzeug.exceptions import RequestEntityTooLarge

#: Bytes. HAProxy's and keepalived's configurations: some hundred bytes a member, tens of thousands of members.
CONFIGURATION = 16 * 1024 * 1024
#: Bytes. Certificates with chain and key, revocation lists, lists of certificates.
CERTIFICATE = 4 * 1024 * 1024
#: Bytes. JSON that describes addresses, routes or rules.
DESCRIPTION = 1024 * 1024
#: Bytes. The agent's own certificate with its key; its settings.
OWN = 256 * 1024


def body(limit: int) -> bytes:
    """The whole body. Raises RequestEntityTooLarge beyond `limit` bytes, ClientDisconnected where it does not come whole and in time."""
    # Of a body in chunks, werkzeug gives what is within the limit as if it were all, so one byte more is allowed to be seen.
    flask.request.max_content_length = limit + 1
    content = flask.request.get_data(cache=False)
    if len(content) > limit:
        raise RequestEntityTooLarge
    return content


def done(details: str | None = None, *, status: int = 202, content: bytes | None = None) -> flask.Response:
    """That it went well; with the ETag of `content` where something was stored."""
    answer = flask.jsonify({"message": "OK"} | ({} if details is None else {"details": details}))
    answer.status_code = status
    return tagged(answer, etag(content)) if content is not None else answer


def text(content: bytes) -> flask.Response:
    """A configuration as it was sent."""
    return tagged(flask.Response(content, mimetype="text/plain"), etag(content))


def tagged(answer: flask.Response, tag: str) -> flask.Response:
    """With an ETag as Octavia's controller expects it: bare, without the quotation marks of RFC 9110."""
    answer.headers["ETag"] = tag
    return answer


def etag(content: bytes) -> str:
    """The MD5 in hexadecimal digits: the contract's word for "the same content", not a protection."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
