"""--target: in the command line's own form, or from a file."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from hydria.cli import inputs


def test_the_command_lines_own_form() -> None:
    target = inputs.target("haproxy=2.8,mem=2G", haproxy="2.6.12", maxconn=100)
    assert (target.haproxy, target.memory, target.maxconn) == ((2, 8), 2 * 1024**3, 100)


def test_a_file_says_more_and_the_rest_comes_from_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "target.yaml"
    file.write_text("haproxy: '2.8'\nvrrp: {router_id: 17}\n")
    target = inputs.target(f"@{file}", haproxy="2.6.12", maxconn=100, user="")
    assert (target.haproxy, target.vrrp.router_id, target.maxconn, target.user) == ((2, 8), 17, 100, None)


def test_what_the_file_says_wins_over_a_default(tmp_path: Path) -> None:
    file = tmp_path / "target.json"
    file.write_text('{"user": "balancer", "maxconn": 7}')
    target = inputs.target(f"@{file}", maxconn=100, user="")
    assert (target.user, target.maxconn) == ("balancer", 7)


@pytest.mark.parametrize(
    ("text", "told"),
    [("cpus: many", "cpus"), ("nothing: 1", "nothing"), ("- 1", "a mapping of fields is needed"), ("a: b: c", "this is not YAML")],
)
def test_a_wrong_file_is_wrong_usage(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "target.yaml"
    file.write_text(text)
    with pytest.raises(click.BadParameter, match=told):
        inputs.target(f"@{file}")


def test_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(click.BadParameter, match="No such file"):
        inputs.target(f"@{tmp_path / 'none.yaml'}")
