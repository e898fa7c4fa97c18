"""States of servers over a reload: only those that the file to be loaded has, too."""

from __future__ import annotations

import pytest

from compiler.server_states import kept

COLUMNS = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_port"
FILE = b"backend b\n default-server weight 5\n server a 192.0.2.1:80\n server off [2001:db8::1]:81 disabled weight 1\n"


def dump(*lines: str) -> str:
    return "".join(f"{line}\n" for line in ("1", COLUMNS, *lines))


@pytest.mark.parametrize("line", ["3 b 1 a 192.0.2.1 2 0 5 5 80", "3 b 1 a 192.0.2.1 0 0 5 9 80", "3 b 2 off 2001:db8::1 0 5 1 1 81"])
def test_one_that_agrees_is_kept(line: str) -> None:
    assert kept(dump(line), FILE) == dump(line)


@pytest.mark.parametrize(
    "line",
    [
        "3 b 1 a 192.0.2.1 2 0 6 5 80",
        "3 b 1 a 192.0.2.2 2 0 5 5 80",
        "3 b 1 a 192.0.2.1 2 0 5 5 81",
        "3 b 1 a 192.0.2.1 0 1 5 5 80",
        "3 b 1 a 192.0.2.1 2 4 5 5 80",
        "3 b 1 a 192.0.2.1 2 8 5 5 80",
        "3 b 2 off 2001:db8::1 2 4 1 1 81",
        "3 b 2 off 2001:db8::1 0 1 1 1 81",
        "3 b 3 gone 192.0.2.1 2 0 5 5 80",
        "3 c 1 a 192.0.2.1 2 0 5 5 80",
        "3 b 1 a - x y z",
    ],
)
def test_one_that_does_not_begins_anew(line: str) -> None:
    assert kept(dump(line), FILE) == dump()
