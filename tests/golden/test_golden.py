"""A small graph for each feature, and exactly the files that it becomes; each is one that real HAProxy, keepalived and nft take without a word
of complaint.

A feature is a directory: `input.yaml` or `input.json`, `target` (the command's form) or `target.yaml` where it matters, `secrets/` where there are any,
`needs` where an older HAProxy must refuse it, and
`expected/` with every file of the bundle. `HYDRIA_GOLDEN_UPDATE=1` writes `expected/` anew instead of comparing; read the difference.
"""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import compiler
from agent import bundle_directory
from compiler.target import parse_version
from hydria import secret_files

if TYPE_CHECKING:
    from agent.haproxy import Haproxy

HERE = Path(__file__).parent
FEATURES = sorted(path.parent for path in HERE.glob("*/input.*"))
BESIDES_HAPROXY = [feature for feature in FEATURES if any((feature / "expected").glob("[kn]*/*"))]
UPDATE = os.environ.get("HYDRIA_GOLDEN_UPDATE") == "1"

every_feature = pytest.mark.parametrize("feature", FEATURES, ids=[feature.name for feature in FEATURES])


def target_of(feature: Path) -> compiler.Target:
    if (feature / "target.yaml").exists():
        return compiler.Target.read((feature / "target.yaml").read_text())
    return compiler.Target.parse((feature / "target").read_text().strip() if (feature / "target").exists() else "user=,group=,log=")


def built(feature: Path) -> compiler.Bundle:
    """The bundle of a feature's input; any problem, warnings too, is a failure."""
    text = next(feature.glob("input.*")).read_bytes()
    graph = compiler.load(text)
    secrets = secret_files.resolve(compiler.secret_references(graph), feature / "secrets", feature)
    bundle = compiler.build(graph, target_of(feature), secrets)
    assert not bundle.problems, "\n".join(map(str, bundle.problems))
    return bundle


def differences(expected: dict[str, str], actual: dict[str, str]) -> str:
    """A unified diff of two sets of files, "" where they are the same."""
    return "\n".join(
        line
        for path in sorted(expected.keys() | actual.keys())
        for line in difflib.unified_diff(
            expected.get(path, "").splitlines(), actual.get(path, "").splitlines(), f"expected/{path}", f"actual/{path}", lineterm=""
        )
    )


def test_features_were_found() -> None:
    assert len(FEATURES) > 30


@every_feature
def test_the_files_are_those_expected(feature: Path) -> None:
    actual = {path: file.content.decode() for path, file in built(feature).files.items()}
    directory = feature / "expected"
    if UPDATE:
        shutil.rmtree(directory, ignore_errors=True)
        for path, content in actual.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(content)
    expected = {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}
    assert expected, f"{directory} holds nothing; run with HYDRIA_GOLDEN_UPDATE=1 and read what comes"
    assert expected == actual, differences(expected, actual)


@pytest.mark.third_haproxy
@every_feature
def test_haproxy_takes_it_without_a_warning(feature: Path, haproxy: Haproxy, tmp_path: Path) -> None:
    bundle_directory.write(built(feature).files, tmp_path / "bundle")
    checked = haproxy.check(tmp_path / "bundle")
    needs = feature / "needs"
    if needs.exists() and haproxy.version < parse_version(needs.read_text()):
        assert not checked.ok, "an older HAProxy takes it too: it needs less than it says"
        return
    assert checked.ok, checked.output
    assert not [line for line in checked.output.splitlines() if line.startswith("[")], checked.output


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A network namespace with an `eth1`: keepalived wants the interface of a VRRP instance to be there, and not to be the loopback."""
    name = f"hydria-golden-{os.getpid()}"
    run = partial(subprocess.run, check=True)
    run(["ip", "netns", "add", name])
    try:
        run(["ip", "-n", name, "link", "add", "eth1", "type", "veth", "peer", "name", "other"])
        run(["ip", "-n", name, "link", "set", "eth1", "up"])
        run(["ip", "-n", name, "addr", "add", "203.0.113.2/24", "dev", "eth1"])
        yield name
    finally:
        run(["ip", "netns", "del", name])


@pytest.mark.parametrize("feature", BESIDES_HAPROXY, ids=[feature.name for feature in BESIDES_HAPROXY])
def test_keepalived_and_nft_take_it_without_a_word(feature: Path, namespace: str, tmp_path: Path) -> None:
    bundle_directory.write(built(feature).files, tmp_path / "bundle")
    files = [path for path in (tmp_path / "bundle").rglob("*") if path.suffix in {".conf", ".nft"}]
    assert files
    for path in files:
        command = ["keepalived", "-t", "-f", str(path)] if path.suffix == ".conf" else ["nft", "-c", "-f", str(path)]
        checked = subprocess.run(["ip", "netns", "exec", namespace, *command], capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", ""), path


@every_feature
def test_only_keys_are_secret(feature: Path) -> None:
    for path, file in built(feature).files.items():
        holds_a_key = b"PRIVATE KEY" in file.content
        assert (file.secret, file.mode) == ((True, 0o600) if holds_a_key else (False, 0o644)), path
        assert "PRIVATE KEY" not in repr(file)
