"""`hydria explain`: from a rendered line to the object and fields behind it, and back; from a graph and from a rendered directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import compiler
from compiler.index import walk
from compiler.line_map import LINE_MAP, LineMap, line_map
from hydria.cli import _run
from hydria.cli.output import Output

GRAPH = """\
loadbalancer:
  vip_address: 192.0.2.1
  listeners:
    - name: web
      protocol: HTTP
      protocol_port: 80
      allowed_cidrs: [10.0.0.0/8]
      default_pool: {name: app}
      l7policies:
        - name: deny
          action: REJECT
          rules: [{type: PATH, compare_type: EQUAL_TO, value: /no}]
  pools:
    - name: app
      protocol: HTTP
      lb_algorithm: ROUND_ROBIN
      members:
        - {name: one, address: 192.0.2.11, protocol_port: 80}
        - name: two
          address: 192.0.2.12
          protocol_port: 80
          weight: 5
"""


@pytest.fixture
def graph(tmp_path: Path) -> str:
    place = tmp_path / "graph.yaml"
    place.write_text(GRAPH)
    return str(place)


@pytest.fixture
def rendered(tmp_path: Path, graph: str) -> Path:
    assert _run(["render", graph, "-o", str(tmp_path / "out")], Output()) == 0
    return tmp_path / "out"


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Any:
    def asked(*arguments: str | Path) -> list[dict[str, Any]]:
        capsys.readouterr()
        assert _run(["explain", "--json", *map(str, arguments)], Output()) == 0
        lines: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["lines"]
        return lines

    return asked


def number_of(rendered: Path, words: str) -> int:
    lines = (rendered / "haproxy.cfg").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if words in line)


def test_a_line_leads_to_its_object_its_fields_and_their_places(graph: str, rendered: Path, ask: Any) -> None:
    number = number_of(rendered, "192.0.2.12:80")
    [entry] = ask(graph, f"haproxy.cfg:{number}")
    assert (entry["file"], entry["line"], entry["object"]["type"], entry["object"]["name"]) == ("haproxy.cfg", number, "member", "two")
    assert entry["text"].startswith("server ")
    assert (entry["path"], entry["place"]) == ("loadbalancer.pools[0].members[1]", {"line": 19, "column": 11})
    places = {field["field"]: (field["line"], field["column"]) for field in entry["fields"]}
    assert places["address"] == (20, 11)
    assert places["weight"] == (22, 11)
    assert places["backup"] == (None, None), "not given, so it has no place"


def test_a_rendered_directory_tells_the_same_but_for_the_places(graph: str, rendered: Path, ask: Any) -> None:
    number = number_of(rendered, "http-request deny")
    [from_graph] = ask(graph, f"haproxy.cfg:{number}")
    assert from_graph["object"]["name"] == "deny"
    [entry] = ask(rendered / f"haproxy.cfg:{number}")
    assert [entry] == ask(rendered, f"haproxy.cfg:{number}")
    for field in ("file", "line", "text", "object", "path"):
        assert entry[field] == from_graph[field]
    assert [field["field"] for field in entry["fields"]] == [field["field"] for field in from_graph["fields"]]


def test_a_line_that_is_the_same_for_all_is_nobodys(graph: str, ask: Any) -> None:
    [entry] = ask(graph, "haproxy.cfg:1")
    assert (entry["object"], entry["fields"]) == (None, [])


def test_a_file_made_for_one_object_is_explained_as_a_whole(graph: str, rendered: Path, ask: Any) -> None:
    [path] = [str(place.relative_to(rendered)) for place in rendered.rglob("*.allowed")]
    for asked in ((graph, f"{path}:1"), (rendered / f"{path}:1",)):
        [entry] = ask(*asked)
        assert (entry["file"], entry["line"], entry["object"]["name"]) == (path, None, "web")


@pytest.mark.parametrize("word", ["two", "loadbalancer.pools[0].members[1]"])
def test_an_object_leads_to_its_lines(graph: str, rendered: Path, ask: Any, word: str) -> None:
    number = number_of(rendered, "192.0.2.12:80")
    for asked in ((graph, word), (rendered, word), (graph, "--object", word), (rendered, "--object", word)):
        assert [(entry["file"], entry["line"]) for entry in ask(*asked)] == [("haproxy.cfg", number)]


def test_an_id_and_a_field_lead_to_lines(graph: str, ask: Any) -> None:
    [listener] = compiler.load(GRAPH).listeners
    everything = ask(graph, listener.id)
    assert {entry["object"]["id"] for entry in everything} == {listener.id}
    assert {entry["file"] for entry in everything} > {"haproxy.cfg"}
    [entry] = ask(graph, "loadbalancer.listeners[0].protocol_port")
    assert entry["text"] == "bind 192.0.2.1:80"


def test_every_line_is_found_again_from_its_object() -> None:
    graph = compiler.load(GRAPH)
    made = line_map(compiler.build(graph))
    lines = {(file, n) for file, numbers in made.files.items() for n, number in enumerate(numbers, 1) if number >= 0}
    found = [(line.file, line.line) for _, path in walk(graph) for line in made.caused_by(path) if line.line is not None]
    assert len(found) == len(set(found))
    assert set(found) == lines
    assert lines
    for file, numbers in made.files.items():
        assert [made.at(file, n) for n in (0, len(numbers) + 1)] == [None, None]


def test_what_is_written_down_is_the_map(graph: str, rendered: Path) -> None:
    import msgspec  # noqa: PLC0415 - only here

    assert msgspec.json.decode((rendered / LINE_MAP).read_bytes(), type=LineMap) == line_map(compiler.build(compiler.load(GRAPH)))
    assert graph


def test_rendering_again_replaces_the_map(graph: str, rendered: Path) -> None:
    before = (rendered / LINE_MAP).read_bytes()
    Path(graph).write_text(GRAPH.replace("name: two", "name: three"))
    assert _run(["render", graph, "-o", str(rendered)], Output()) == 0
    assert (rendered / LINE_MAP).read_bytes() != before


def test_a_person_reads_line_object_and_fields(graph: str, rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    number = number_of(rendered, "bind ")
    capsys.readouterr()
    assert _run(["explain", graph, f"haproxy.cfg:{number}"], Output()) == 0
    listener = compiler.load(GRAPH).listeners[0]
    assert capsys.readouterr().out.splitlines() == [
        f"haproxy.cfg:{number}  bind 192.0.2.1:80",
        f"    listener {listener.id} (web), loadbalancer.listeners[0], {graph}:4:7",
        f"        protocol_port, {graph}:6:7",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["GRAPH"], "what is to be explained?"),
        (["GRAPH", "nobody"], "is no object's name, id or path"),
        (["GRAPH", "haproxy.cfg:99999"], "there is no line 99999"),
        (["GRAPH", "haproxi.cfg:1"], "there is no file 'haproxi.cfg'"),
        (["GRAPH", "web", "--object", "web"], "not both"),
        (["/nowhere/haproxy.cfg:1"], "in no directory that"),
        (["PARENT", "web"], f"holds no {LINE_MAP}"),
    ],
)
def test_wrong_use_says_what_would_be_right(graph: str, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    named = {"GRAPH": graph, "PARENT": str(Path(graph).parent)}
    assert _run(["explain", *(named.get(word, word) for word in arguments)], Output()) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_graph_with_problems_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "graph.yaml"
    place.write_text(GRAPH.replace("name: app}", "name: apq}"))
    assert _run(["explain", str(place), "haproxy.cfg:1", "--json"], Output()) == 1
    assert json.loads(capsys.readouterr().out)["problems"][0]["code"] == "dangling-reference"
