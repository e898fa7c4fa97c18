# ruff: noqa: INP001 - a script beside the pages that it makes
"""Makes the pages of the documentation that follow from the code: `python -m docs.generate` (or `make docs`), from the repository's root.

graph.md from the structs of `compiler.graph` with the meanings of `compiler.graph_docs` and the tables that the checks go by; problems.md
from `compiler.problems.CODES`; openapi-1.0.json and openapi-2.0.json from the agent's routes. A test compares what is committed with what this makes.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from agent import openapi
from compiler import graph, graph_docs
from compiler.check.l7 import COMPARE_TYPES
from compiler.check.listeners import POOL_PROTOCOLS
from compiler.check.pools import MONITORS
from compiler.problems import CODES

HERE = Path(__file__).parent
_MADE = "<!-- Made by docs/generate.py. Changes by hand are lost. -->\n"

_GRAPH = """# The graph

A load balancer is described by one document, in JSON or YAML. Its words are those of the OpenStack Octavia v2 API, with the API's
defaults. Three forms are taken:

* the body that creates a load balancer with everything in it, `{"loadbalancer": {…}}`;
* what the API shows of it, with ids, statuses and timestamps, and pools referred to by id (`default_pool_id`, `redirect_pool_id`);
* the inside of `loadbalancer` alone.

All three may be mixed. A field that is not in these tables is an error, and the nearest known name is told. `null` stands for the
default. YAML anchors, aliases and merge keys (`<<`) may be used. YAML is read up to 16 MiB, JSON up to 512 MiB.

An object without an `id` gets one that follows from its place: a listener's from its port, a member's from its address and port, a
pool's and a policy's from its name, or without one from where it stands. So the same document always has the same ids, and the order
of members and listeners changes none.

A `*_container_ref` is the name of a secret. With `hydria` it is looked up below `--secrets DIR` (as `name`, `name.pem`, `name.p12`,
`name.pfx`, a directory `name/` or by a map `secrets.yaml`); a `file:` URL is that file. A certificate comes with its key as PEM in any
order, as PKCS#12, or as a directory with `certificate`, `private_key`, `intermediates` and `private_key_passphrase`.
"""

_LISTENER_TABLE = """## What goes with what

A listener can use pools of these protocols:
"""

_HEADS = ("field", "type", "default", "meaning")


def pages() -> dict[str, str]:
    """Every page that is made, by name."""
    return {
        "graph.md": graph_page(),
        "problems.md": problems_page(),
        "openapi-1.0.json": openapi.text(),
        "openapi-2.0.json": openapi.text("2.0"),
    }


def problems_page() -> str:
    """The table of problem codes."""
    head = """# Problems

Everything that is wrong with a graph is told at once. Each problem has a severity (an `error` stops the build, a `warning` does not),
the object and the path of the field, a code, a message that says what was given and what is allowed, sometimes a hint, and for text its
line and column. `--json` gives the same as fields. Codes do not change from one version to the next; messages may.
"""
    return "\n".join([_MADE, head, *_table(("code", "meaning"), [(f"`{code}`", meaning) for code, meaning in CODES.items()]), ""])


def graph_page() -> str:
    """The graph reference."""
    lines = [_MADE, _GRAPH]
    common = [(f"`{name}`", *_field(graph.Node, name), meaning) for name, meaning in graph_docs.COMMON.items()]
    lines += ["## Every object", "", *_table(_HEADS, common), ""]
    for struct, what in graph_docs.OBJECTS.items():
        own = graph_docs.FIELDS[struct]
        shared = graph_docs.COMMON.keys() - own.keys() if issubclass(struct, graph.Node) else set()
        names = [field.name for field in msgspec.structs.fields(struct) if field.name not in shared]
        rows = [(f"`{name}`", *_field(struct, name), graph_docs.meaning(struct, name)) for name in names]
        lines += [f"## {_title(struct)}", "", what, "", *_table(_HEADS, rows), ""]
    lines += [_LISTENER_TABLE, *_words(("listener", "pools"), POOL_PROTOCOLS), "", "A pool can be monitored by:", ""]
    lines += [*_words(("pool", "health monitors"), MONITORS), "", "A rule can be compared by:", ""]
    lines += [*_words(("rule", "compare types"), COMPARE_TYPES), ""]
    return "\n".join(lines)


def _title(struct: type[msgspec.Struct]) -> str:
    others = {graph.AdditionalVip: "additional VIP", graph.SessionPersistence: "session persistence"}
    return graph.TYPE_NAMES.get(struct) or others[struct]


def _field(struct: type[msgspec.Struct], name: str) -> tuple[str, str]:
    """Type and default of a field, as a table's cells hold them."""
    field = next(field for field in msgspec.structs.fields(struct) if field.name == name)
    kind = _type(get_type_hints(struct, include_extras=True)[name])
    if field.required:
        return kind, "(needed)"
    default = field.default
    if default in (None, "", (), msgspec.NODEFAULT):
        return kind, ""
    return kind, f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _type(hint: Any) -> str:
    """A type in words: what a field takes."""
    origin = get_origin(hint)
    if hint is Any:
        return "anything"
    if origin in (Union, types.UnionType):
        return " or ".join(filter(None, map(_type, get_args(hint))))
    if hint is type(None) or hint == Literal[""]:
        return ""
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in get_args(hint))
    if origin is tuple:
        return f"list of {_type(get_args(hint)[0])}"
    if origin is dict:
        return f"mapping of names to {_type(get_args(hint)[1])}"
    if hasattr(hint, "__metadata__"):
        return _bounded(hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        anchor = _title(hint).replace(" ", "-").lower()
        return f"[{_title(hint)}](#{anchor})"
    return {str: "text", int: "number", float: "number", bool: "`true`, `false`"}[hint]


def _bounded(hint: Any) -> str:
    _, meta = get_args(hint)
    if meta.pattern:
        return "UUID"
    return f"{meta.ge} to {meta.le}" if meta.le is not None else f"{meta.ge} or more"


def _words(heads: tuple[str, str], table: Mapping[str, tuple[str, ...]]) -> list[str]:
    return _table(heads, [(name, ", ".join(words) or "none") for name, words in table.items()])


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    cells = [heads, tuple("---" for _ in heads), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]


def main() -> None:
    """Writes the pages."""
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
