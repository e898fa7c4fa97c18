"""docs/octavia.md (and docs/octavia-lab.md): every option that it names is Octavia's or of our driver, every test that it names is there, and no claim stands alone."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venv" / "octavia" / "bin" / "python"
PAGE = (ROOT / "docs" / "octavia.md").read_text(encoding="utf-8")
LAB = (ROOT / "docs" / "octavia-lab.md").read_text(encoding="utf-8")

OPTIONS = sorted(set(re.findall(r"`\[(\w+)\] (\w+)`", PAGE)) | set(re.findall(r"^\[(\w+)\]\n(\w+) = ", PAGE, re.MULTILINE)))
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE + LAB)))
#: Rows of the tables whose second column says how a claim is shown.
CLAIMS = [
    row
    for table in PAGE.split("| claim | shown by |\n|---|---|\n")[1:]
    for row in re.findall(r"^\| .* \|$", table.partition("\n\n")[0], re.MULTILINE)
]

ASKING = """
import json, sys
from octavia.common import config
from oslo_config import cfg
from hydria.octavia import settings
settings.register(cfg.CONF)
wanted = json.load(sys.stdin)
print(json.dumps([[group, name] for group, name in wanted if group not in cfg.CONF or name not in cfg.CONF[group]]))
"""


def test_every_option_is_one_of_octavias_or_ours() -> None:
    assert len(OPTIONS) > 20
    finished = subprocess.run(
        [PYTHON, "-W", "ignore", "-c", ASKING],
        input=json.dumps([*OPTIONS, ("controller_worker", "no_such")]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(finished.stdout.splitlines()[-1]) == [["controller_worker", "no_such"]]


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_every_test_is_there(file: str, name: str) -> None:
    assert f"\ndef {name}" in "\n" + (ROOT / file).read_text(encoding="utf-8")


def test_every_claim_says_how_it_is_shown() -> None:
    assert len(CLAIMS) > 20
    for claim in CLAIMS:
        shown = claim.rstrip(" |").rpartition(" | ")[2]
        assert "not tested here" in shown or re.search(r"`tests/|\]\(\S+\.md\)", shown), claim


def test_every_page_that_it_leads_to_is_there() -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", PAGE):
        assert (ROOT / "docs" / link).is_file(), link


def test_the_keys_of_the_flavor_are_those_that_the_driver_takes() -> None:
    asking = "import json; from octavia.api.drivers.amphora_driver.flavor_schema import SUPPORTED_FLAVOR_SCHEMA as s; print(json.dumps([*s['properties']]))"
    finished = subprocess.run([PYTHON, "-W", "ignore", "-c", asking], capture_output=True, text=True, check=True)
    known = json.loads(finished.stdout.splitlines()[-1])
    [profile] = re.findall(r"--flavor-data '(.*?)'", PAGE)
    assert {*json.loads(profile), "loadbalancer_topology", "compute_flavor"} <= {*known}
