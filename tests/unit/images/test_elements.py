"""What builds the image, as far as it can be judged without building one."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from agent.options import Options
from agent.settings import Settings
from agent.units import unit_texts

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "images"
ELEMENTS = sorted(path for path in (IMAGES / "elements").iterdir() if path.is_dir())
HOOKS = sorted(path for element in ELEMENTS for path in element.glob("*.d/*"))
PROGRAMS = sorted(
    path for path in [IMAGES / "build", *(IMAGES / "stand-ins").iterdir(), *IMAGES.glob("elements/*/static/**/*")] if path.is_file()
)
#: systemd.exec(5) and others, of what is in the image.
UNITS = sorted(IMAGES.glob("elements/*/static/etc/systemd/system/*.service"))


def is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def test_shellcheck_has_no_remark() -> None:
    scripts = [path for path in [*HOOKS, *PROGRAMS, ROOT / "tools" / "debian-packages"] if is_script(path) or path.suffix == ".bash"]
    assert len(scripts) > 15
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_hooks_are_what_diskimage_builder_runs() -> None:
    for path in HOOKS:
        assert re.fullmatch(r"\d\d-[a-z-]+(\.bash)?", path.name), path
        executable = path.stat().st_mode & 0o111 != 0
        # What is sourced is not run.
        assert executable == (path.parent.name != "environment.d"), path


def test_every_element_tells_what_it_is_and_needs_only_what_there_is() -> None:
    known = {path.name for path in ELEMENTS} | {"package-installs", "pkg-map"}
    for element in ELEMENTS:
        assert (element / "README.md").read_text().startswith(f"# {element.name}\n")
        assert set((element / "element-deps").read_text().split()) <= known
        assert isinstance(yaml.safe_load((element / "package-installs.yaml").read_text()), dict)


def test_the_disk_has_a_place_of_its_own_for_logs() -> None:
    _, partitioning = yaml.safe_load((IMAGES / "disk.yaml").read_text())
    places = {each["mkfs"]["mount"]["mount_point"]: each for each in partitioning["partitioning"]["partitions"]}
    assert places.keys() == {"/", "/var/log"}
    # All that is bounded, together: the journal and the two files of the traffic.
    journal = (IMAGES / "elements/hydria-debian/static/etc/systemd/journald.conf.d/hydria.conf").read_text()
    traffic = (IMAGES / "elements/hydria/static/etc/rsyslog.d/50-hydria.conf").read_text()
    bounds = int(re.findall(r"^SystemMaxUse=(\d+)M", journal, re.MULTILINE)[0]) << 20
    bounds += 2 * int(re.findall(r"^\$outchannel [^,]+, [^,]+, (\d+),", traffic, re.MULTILINE)[0])
    assert bounds < 0.75 * (int(places["/var/log"]["size"].removesuffix("MiB")) << 20)


def test_all_that_hydria_needs_is_locked_with_its_hashes() -> None:
    text = (IMAGES / "lock/python.txt").read_text()
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))
    for wanted in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        name, least = re.fullmatch(r"([a-z0-9-]+)>=([\d.]+)", wanted).groups()  # type: ignore[union-attr]
        assert [int(part) for part in locked[name].split(".")] >= [int(part) for part in least.split(".")], wanted
    for name in ("python", "python-build", "tools"):
        text = (IMAGES / f"lock/{name}.txt").read_text()
        for entry in re.split(r"\n(?=[a-z])", text)[1:]:
            assert "--hash=sha256:" in entry, entry


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The image's units, with a program that is on this machine in the place of Hydria's."""
    settings = Settings()
    options = Options(Path("/etc/octavia/amphora-agent.conf"), "amphora-haproxy", Path("/run/hydria"), Path("/var/lib/hydria"), "systemd")
    texts = {unit.name: unit.read_text() for unit in UNITS}
    texts |= {name: text.decode() for name, text in unit_texts(options, settings, Path("/opt/hydria/bin/hydria-agent")).items()}
    written = []
    for name, text in texts.items():
        path = tmp_path / name
        path.write_text(text.replace("/opt/hydria/bin/hydria-agent", "/bin/true"))
        written.append(path)
    return written


def test_systemd_has_no_remark_about_the_units_together(units: list[Path]) -> None:
    assert {unit.name for unit in units} == {f"hydria-{name}.service" for name in ("first-boot", "namespace", "restore", "agent")}
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "hydria" in line]
    assert (done.returncode, ours) == (0, [])


def test_the_maps_of_packages_are_json() -> None:
    text = (IMAGES / "elements/hydria-debian/pre-install.d/05-small").read_text()
    maps = re.findall(r"<<'JSON'\n(.*?)\nJSON", text, re.DOTALL)
    assert [json.loads(each).keys() for each in maps] == [{"default"}, {"default"}]
