"""`hydria schema`: the JSON Schema of the input."""

from __future__ import annotations

import json

import click

from compiler import schema as graph_schema
from hydria.cli import FINE, inputs


@click.command()
@inputs.json_option
def schema() -> int:
    """Print the JSON Schema (2020-12) of a graph, for editors and programs.

    With `# yaml-language-server: $schema=FILE` in its first line, a graph in YAML is completed and checked by many editors.
    """
    click.echo(json.dumps(graph_schema.schema(), indent=2, ensure_ascii=False))
    return FINE
