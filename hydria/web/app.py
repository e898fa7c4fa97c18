"""The page as a WSGI application: what was seen last, as HTML and as JSON."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import flask
import msgspec

from hydria.web import chart, words
from hydria.web.view import view

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from hydria.web.watching import Picture

#: Nothing from elsewhere, nothing written into the page; nobody may show it in a frame of theirs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def make_app(picture: Callable[[], Picture], now: Callable[[], float], hosts: Collection[str], interval: float) -> flask.Flask:
    """`picture`: what was seen last; `now`: seconds since 1970; `hosts`: what the header Host may be; `interval`: seconds between two looks."""
    app = flask.Flask(__name__, static_url_path="/static", static_folder="static", template_folder="templates")
    app.jinja_env.filters |= {
        "number": words.number,
        "percent": words.percent,
        "duration": words.duration,
        "clock": _clock,
        "chart": chart.lines,
    }
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    allowed = {host.lower() for host in hosts}

    @app.before_request
    def only_here() -> flask.Response | None:
        # Before anything else: a page of somebody else's that leads here by a name of its own is not to read what is here.
        if flask.request.headers.get("Host", "").lower() not in allowed:
            return flask.Response("This page is at another address.\n", 421, content_type="text/plain; charset=utf-8")
        if flask.request.method not in ("GET", "HEAD"):
            return flask.Response(
                "There is nothing to change here.\n", 405, {"Allow": "GET, HEAD"}, content_type="text/plain; charset=utf-8"
            )
        return None

    @app.after_request
    def guarded(response: flask.Response) -> flask.Response:
        response.headers.update(_HEADERS)
        return response

    @app.get("/")
    def whole() -> str:
        return flask.render_template("page.html", page=view(picture(), now()), interval=interval, chart=chart)

    @app.get("/parts")
    def parts() -> str:
        return flask.render_template("parts.html", page=view(picture(), now()), chart=chart)

    @app.get("/status.json")
    def document() -> flask.Response:
        return flask.Response(msgspec.json.encode(view(picture(), now())), content_type="application/json")

    return app


def _clock(moment: float) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
