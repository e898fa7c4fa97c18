"""A graph for each feature: those of the golden tests, and in `features/` what Octavia's templates can write of the ones that they cannot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import compiler
from hydria import secret_files

if TYPE_CHECKING:
    from compiler.graph import LoadBalancer
    from compiler.secrets import Secrets

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden"
FEATURES = sorted(path.parent for directory in (GOLDEN, HERE / "features") for path in directory.glob("*/input.*"))

#: What Octavia writes so that no HAProxy takes it, and what HAProxy says of that.
BEYOND_OCTAVIA = {
    GOLDEN / "members": "'addr' : invalid address: '2001:db8:'",
    GOLDEN / "persistence-app-cookie": "'stick': fetch method 'res.cook' : expected ')'",
    GOLDEN / "rules": "'-i x' is not a valid ACL option",
    GOLDEN / "tls-parameters": "'alpn' : missing the comma-delimited ALPN protocol suite",
    GOLDEN / "tls-without-alpn": "'alpn' : missing the comma-delimited ALPN protocol suite",
}

every_feature = pytest.mark.parametrize("feature", FEATURES, ids=[f"{feature.parent.name}-{feature.name}" for feature in FEATURES])


def load(feature: Path) -> tuple[LoadBalancer, Secrets]:
    """The graph of a feature, and what it refers to."""
    graph = compiler.load(next(feature.glob("input.*")).read_bytes())
    return graph, secret_files.resolve(compiler.secret_references(graph), GOLDEN / feature.name / "secrets", feature)
