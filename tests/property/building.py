"""The way from plain data to a bundle, with the secrets that random graphs refer to; and a worker that goes it in another process."""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from graph_parts import AUTHORITY, CERTIFICATES, REVOCATIONS

import compiler
from compiler import Secret, Target
from hydria.lab.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGET = Target(user=None, group=None, log=None)


@lru_cache(maxsize=1)
def secrets() -> dict[str, Secret]:
    """Throw-away material for every reference of `graph_parts`."""
    authority = Authority()
    found = {name: Secret(authority.server(f"{name}.example.org", f"*.{name}.example.org").bundle_pem) for name in CERTIFICATES}
    return found | {AUTHORITY: Secret(authority.certificate_pem), REVOCATIONS: Secret(authority.crl())}


def build(document: Any, target: Target = TARGET, *, previous: Mapping[str, int] | None = None) -> compiler.Bundle:
    """The bundle of a document; raises where `load` does."""
    return compiler.build(compiler.load(json.dumps(document)), target, secrets(), previous=previous)


def configuration(bundle: compiler.Bundle) -> str:
    """The text of haproxy.cfg; with the problems, if there is none."""
    assert bundle.ok, "\n".join(map(str, bundle.problems))
    return bundle.files[compiler.HAPROXY_CFG].content.decode()


def main() -> None:
    """Secrets on the first line; then, for each line with a document, a line with its bundle."""
    given = json.loads(sys.stdin.readline())
    material = {name: Secret(text.encode()) for name, text in given.items()}
    for line in sys.stdin:
        bundle = compiler.build(compiler.load(line), TARGET, material)
        answer = {
            "digest": bundle.digest,
            "files": {path: file.content.decode() for path, file in bundle.files.items()},
            "problems": [str(problem) for problem in bundle.problems],
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
