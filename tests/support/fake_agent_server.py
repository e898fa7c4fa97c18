"""The agent's real server over collaborators that remember: `python -m support.fake_agent_server DIRECTORY PORT`."""

from __future__ import annotations

import ssl
import sys
import threading
from pathlib import Path

from agent import logs
from agent.collaborators import Agent
from agent.server import Server
from agent.settings import Endpoint
from support.fake_agent import FakeAgent, FakeVrrp


class Waiting(FakeVrrp):
    """VRRP whose start takes until the file `go` is there."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def start(self) -> str:
        (self._directory / "began").touch()
        while not (self._directory / "go").exists():
            threading.Event().wait(0.02)
        return "waited"


def make(directory: Path, *, careless: bool) -> Agent:
    """With `careless`, an identity that forgets to ask for certificates."""
    fake = FakeAgent(directory, fresh=False)
    agent = fake.agent
    object.__setattr__(agent, "vrrp", Waiting(directory))
    if careless:
        asking = fake.identity.context

        def context() -> ssl.SSLContext:
            made = asking()
            made.verify_mode = ssl.CERT_OPTIONAL
            return made

        object.__setattr__(fake.identity, "context", context)
    return agent


if __name__ == "__main__":
    logs.configure(debug="--debug" in sys.argv, as_json=True)
    place = Path(sys.argv[1])
    Server(lambda: make(place, careless="--careless" in sys.argv), Endpoint(sys.argv[2], int(sys.argv[3]))).run()
