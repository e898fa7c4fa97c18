"""What the agent does without: every module that is imported stays in memory, and an agent that starts has to wait for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Of `hydria-agent`, whatever the verb.
COMMAND = "import agent.main"
#: All that `serve` imports before it serves.
SERVING = f"{COMMAND}, agent.app, agent.assembly"
#: Looking at what the kernel's network has.
LOOKING = f"{SERVING}, agent.netlink"
PARSING = "import compiler, compiler.plan"


@pytest.mark.parametrize(
    ("statement", "without"),
    [
        (COMMAND, {"agent.app", "agent.assembly", "agent.units", "compiler", "flask", "jinja2"}),
        (SERVING, {"agent.client", "agent.inspection", "cryptography", "prometheus_client", "pyroute2", "rich", "urllib3", "yaml"}),
        (LOOKING, {"pyroute2.conntrack", "pyroute2.ipdb", "pyroute2.ndb", "pyroute2.netlink.nl80211"}),
        (PARSING, {"cryptography", "yaml"}),
    ],
)
def test_what_is_imported_for_nothing(statement: str, without: set[str]) -> None:
    program = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"agent", "compiler"} & loaded
    assert without & loaded == set()
