"""What browsers, and others, are answered by the status page."""

from __future__ import annotations

import itertools
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from pictures import NAME, look, picture, rows, sighting

from hydria.web.app import make_app
from hydria.web.serving import hosts

if TYPE_CHECKING:
    from flask.testing import FlaskClient

HOST = "127.0.0.1:8780"
PATHS = ("/", "/parts", "/status.json", "/static/page.js", "/static/page.css", "/static/icon.svg")


class Elements(HTMLParser):
    """Names and attributes of all elements, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def client() -> FlaskClient:
    hostile = look(rows("UP", "DOWN", "UP"))
    seen = picture(sighting(1, hostile), sighting(2, None, None, "<script>alert(1)</script>"))
    return make_app(lambda: seen, lambda: 1_800_000_000.0, {HOST, "localhost:8780"}, 2.0).test_client()


@pytest.mark.parametrize("path", [*PATHS, "/nothing", "/../etc/passwd", "/static/../app.py"])
def test_every_answer_has_the_headers_that_keep_others_out(client: FlaskClient, path: str) -> None:
    found = client.get(path, headers={"Host": HOST}, buffered=True)
    assert (found.status_code == 200) == (path in PATHS)
    assert "default-src 'none'; script-src 'self'" in found.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in found.headers["Content-Security-Policy"]
    assert "unsafe" not in found.headers["Content-Security-Policy"]
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    assert found.headers["X-Frame-Options"] == "DENY"
    assert found.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in found.headers
    assert "Access-Control-Allow-Origin" not in found.headers


@pytest.mark.parametrize(
    "host", ["attacker.example", "attacker.example:8780", "127.0.0.1", "127.0.0.1:80", "", "localhost:8780.attacker.example"]
)
@pytest.mark.parametrize("path", PATHS)
def test_other_names_lead_nowhere(client: FlaskClient, host: str, path: str) -> None:
    found = client.get(path, headers={"Host": host}, buffered=True)
    assert (found.status_code, found.text) == (421, "This page is at another address.\n")


@pytest.mark.parametrize("host", [HOST, "localhost:8780", "LOCALHOST:8780"])
def test_its_own_names_do(client: FlaskClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}, buffered=True).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/status.json", "/static/page.js"])
def test_there_is_nothing_but_get(client: FlaskClient, method: str, path: str) -> None:
    found = client.open(path, method=method, headers={"Host": HOST}, buffered=True)
    assert (found.status_code, found.headers["Allow"]) == (405, "GET, HEAD")
    assert client.head(path, headers={"Host": HOST}, buffered=True).status_code == 200


@pytest.mark.parametrize("path", ["/", "/parts"])
def test_names_are_text_and_nothing_is_written_into_the_page(client: FlaskClient, path: str) -> None:
    found = Elements(client.get(path, headers={"Host": HOST}, buffered=True).text)
    assert NAME in found.text
    assert "<script>alert(1)</script>" in found.text
    assert "b" not in {tag for tag, _ in found.found}
    scripts = [attributes for tag, attributes in found.found if tag == "script"]
    assert scripts == ([{"src": "/static/page.js", "defer": None}] if path == "/" else [])
    assert not [attributes for _, attributes in found.found if "style" in attributes or any(name.startswith("on") for name in attributes)]
    assert "style" not in {tag for tag, _ in found.found}


def test_all_that_the_page_loads_is_its_own(client: FlaskClient) -> None:
    text = client.get("/", headers={"Host": HOST}, buffered=True).text
    loaded = [value or "" for _, attributes in Elements(text).found for name, value in attributes.items() if name in ("src", "href")]
    assert loaded
    for place in loaded:
        assert re.fullmatch(r"#content|/status\.json|/static/[a-z]+\.(js|css|svg)", place)
        if place != "#content":
            assert client.get(place, headers={"Host": HOST}, buffered=True).status_code == 200
    # `xmlns` names what SVG is; it is not loaded.
    others = [client.get(path, headers={"Host": HOST}, buffered=True).text.replace("http://www.w3.org/2000/svg", "") for path in PATHS]
    assert not [text for text in others if re.search(r"https?://|url\(|@import", text)]


def test_headings_and_tables_are_what_they_are_called(client: FlaskClient) -> None:
    found = Elements(client.get("/", headers={"Host": HOST}, buffered=True).text)
    levels = [int(tag[1]) for tag, _ in found.found if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))
    assert all("scope" in attributes for tag, attributes in found.found if tag == "th")
    ids = [attributes["id"] for _, attributes in found.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(attributes.get("aria-label") for tag, attributes in found.found if tag == "svg")
    assert ("html", {"lang": "en"}) in found.found


def test_the_same_as_json(client: FlaskClient) -> None:
    found = client.get("/status.json", headers={"Host": HOST}, buffered=True)
    assert found.content_type == "application/json"
    document = json.loads(found.text)
    [balancer] = document["balancers"]
    assert (balancer["name"], balancer["status"], document["at"]) == (NAME, "DEGRADED", 1_800_000_000.0)
    assert document["agents"][0]["error"] == "<script>alert(1)</script>"


def test_port_80_need_not_be_said() -> None:
    assert hosts("127.0.0.1:80", 80, ["localhost"]) == {"127.0.0.1:80", "127.0.0.1", "localhost:80", "localhost"}
    assert hosts("[::1]:8780", 8780, ["localhost"]) == {"[::1]:8780", "localhost:8780"}
