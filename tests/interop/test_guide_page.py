"""How a page that is a program is read, and when what is printed is what it shows."""

from __future__ import annotations

import pytest
from guide_page import Ids, Step, commands, options, sections

ONE, TWO, OTHER = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "12a")
PAGE = r"""# A page
## First
Words.
```console
# openstack thing create \
  --name x
| id |
# openstack thing list

```
```yaml
# not a command
```
## Nothing to do
### `openstack loadbalancer thing create`
| option | meaning |
| --- | --- |
| `--name`, `--tag` | see `--wait` |
## Last
```console
# echo done
done
```
## All commands
| `loadbalancer thing create` | makes |
| `loadbalancer list` | shows |
"""


def test_commands_stand_in_sections_with_what_they_show() -> None:
    first, second, last = (
        Step("openstack thing create \\\n  --name x", "| id |\n"),
        Step("openstack thing list", "\n"),
        Step("echo done", "done\n"),
    )
    assert sections(PAGE) == {"First": [first, second], "Last": [last]}
    assert options(PAGE) == {"loadbalancer thing create": {"--name", "--tag"}}
    assert commands(PAGE) == ["loadbalancer thing create", "loadbalancer list"]


@pytest.mark.parametrize(
    "command", ["openstack loadbalancer status show x | jq .", "code http://192.0.2.1/", "look", "openstack x list", "who x | sort"]
)
def test_looks_can_be_repeated(command: str) -> None:
    assert Step(command, "").looks


@pytest.mark.parametrize(
    "command", ["openstack loadbalancer create x", "client x > file", "client x &", "rule=$(openstack x list)", "openstack list-not x"]
)
def test_what_changes_something_is_said_once(command: str) -> None:
    assert not Step(command, "").looks


def test_an_id_is_any_but_everywhere_the_same() -> None:
    ids = Ids()
    assert ids.matches(f"| {ONE} |\n", f"| {OTHER} |\n")
    assert not ids.matches(f"| {ONE} |\n", f"| {TWO} |\n")
    assert not ids.matches(f"| {TWO} |\n", f"| {OTHER} |\n")
    assert ids.matches(f"{TWO} {ONE}\n", f"{TWO} {OTHER}\n")
    assert ids.real(f"show {ONE}") == f"show {OTHER}"
    assert ids.shown(f"shown {OTHER}") == f"shown {ONE}"


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "b\n", False),
        ("a.c\n", "abc\n", False),
        ("at 2026-01-01T00:00:00\n", "at 2027-12-31T23:59:59.123456\n", True),
        ("at 2026-01-01T00:00:00\n", "at noon\n", False),
        ("…\nend\n", "1\n2\nend\n", True),
        ("…\nend\n", "end\n", True),
        ("…\nend\n", "1\n2\n", False),
        ("lab …: gone\n", "lab x: gone\n", True),
        ("lab …: gone\n", "lab x\n: gone\n", False),
    ],
)
def test_the_rest_is_as_it_stands(shown: str, printed: str, same: bool) -> None:
    assert Ids().matches(shown, printed) is same
