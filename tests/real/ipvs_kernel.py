"""What a kernel with IPVS is asked, and how: scenarios of a service under change, and a boot of user-mode Linux that answers them.

Run as a program it records a kernel's choices in `tests/vectors/ipvs_choices.json`, which tests then compare the model with, kernel or not.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import sys
import tempfile
from array import array
from pathlib import Path
from typing import Literal, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from support.uml import boot

from fastpath.ipvs import Maglev, RealServer, SourceHashing, Table

Place = tuple[str, int]
Family = Literal["4", "6"]

RECORDED = Path(__file__).parents[1] / "vectors" / "ipvs_choices.json"
GUEST = Path(__file__).with_name("ipvs_guest.py")


class Command(NamedTuple):
    """What ipvsadm does to a real server: -a adds it, -e changes it, -d takes it out."""

    command: Literal["-a", "-e", "-d"]
    place: Place
    weight: int = 1
    threshold: int = 0

    def arguments(self) -> list[object]:
        return [self.command, self.place, "-w", str(self.weight), *(["-x", str(self.threshold)] if self.threshold else [])]


class Scenario(NamedTuple):
    """A service and what happens to it, stage by stage; in each stage `per_stage` new clients come."""

    scheduler: Literal["sh", "mh"]
    port: bool
    fallback: bool
    family: Family
    stages: tuple[tuple[Command, ...], ...]
    per_stage: int

    @property
    def flags(self) -> str:
        return ",".join(f"{self.scheduler}-{flag}" for flag in ("port", "fallback") if getattr(self, flag))

    @property
    def name(self) -> str:
        return f"{self.scheduler} {self.flags or 'plain'} IPv{self.family}, {len(self.stages)} stages"

    @property
    def width(self) -> Literal[4, 16]:
        return 4 if self.family == "4" else 16

    @property
    def places(self) -> list[Place]:
        """All real servers that there ever are."""
        return list(dict.fromkeys(command.place for stage in self.stages for command in stage))

    def clients(self, stage: int) -> tuple[bytes, list[int]]:
        """The clients of a stage, packed, and their ports; the same in every run."""
        width = self.width
        stream = hashlib.shake_256(f"stage {stage} IPv{self.family}".encode()).digest(self.per_stage * (width + 2))
        addresses = bytearray()
        ports = []
        for at in range(0, len(stream), width + 2):
            first = 1 + stream[at] % 126 if self.family == "4" else 0x20 | stream[at] & 1
            addresses += bytes([first]) + stream[at + 1 : at + width]
            ports.append(1024 + int.from_bytes(stream[at + width : at + width + 2]) % 60000)
        return bytes(addresses), ports

    def asked(self) -> dict[str, object]:
        """For the guest."""
        stages = []
        for number, commands in enumerate(self.stages):
            packed, ports = self.clients(number)
            texts = [str(ipaddress.ip_address(packed[at : at + self.width])) for at in range(0, len(packed), self.width)]
            stages.append({"commands": [command.arguments() for command in commands], "clients": list(zip(texts, ports, strict=True))})
        return {"scheduler": self.scheduler, "flags": self.flags, "family": self.family, "stages": stages}

    def expected(self, *, at_once: bool = False) -> list[list[int]]:
        """What the model says: for each stage and client, the number among `places`, -1 for none.

        A server that gets a threshold below what it has is overloaded `at_once` for some kernels (seen: 6.12.113) and with the next client that
        it takes for others (6.1).
        """
        servers: dict[Place, RealServer] = {}
        overloading: set[Place] = set()
        told: list[list[int]] = []
        for number, commands in enumerate(self.stages):
            for command in commands:
                _apply(command, servers, overloading)
            if at_once:
                servers |= {place: servers[place]._replace(overloaded=True) for place in overloading}
                overloading.clear()
            packed, ports = self.clients(number)
            picks: list[int] = []
            while len(picks) < self.per_stage:
                done = len(picks)
                rest = self._model(servers).pick_many(packed[done * self.width :], array("H", ports[done:]), width=self.width)
                names = [*servers, None]
                for name in map(names.__getitem__, rest):
                    picks.append(-1 if name is None else self.places.index(name))
                    if name is not None and name in overloading:
                        # A server with a threshold of 1 takes this client, and is overloaded then.
                        overloading.discard(name)
                        servers[name] = servers[name]._replace(overloaded=True)
                        break
            told.append(picks)
        return told

    def _model(self, servers: dict[Place, RealServer]) -> Table:
        kind = SourceHashing if self.scheduler == "sh" else Maglev
        return kind(servers.values(), key="source-port" if self.port else "source", fallback=self.fallback)


def _apply(command: Command, servers: dict[Place, RealServer], overloading: set[Place]) -> None:
    address, port = command.place
    if command.command == "-d":
        del servers[command.place]
        return
    old = servers.get(command.place)
    last = 0 if old is None else old.weight or old.last_weight
    servers[command.place] = RealServer(ipaddress.ip_address(address).packed, port, command.weight, last)
    if command.threshold:
        overloading.add(command.place)


def _history(family: Family, weights: tuple[int, ...]) -> tuple[tuple[Command, ...], ...]:
    """A service's life: begin, drain two, take one out, bring it back with another weight, undrain, add one."""
    prefix = "192.0.2." if family == "4" else "2001:db8:7::"
    places = [(f"{prefix}{11 * n + 5:x}" if family == "6" else f"{prefix}{11 * n + 5}", 8000 + 7 * n) for n in range(len(weights) + 1)]
    new = places.pop()
    return (
        tuple(Command("-a", place, weight) for place, weight in zip(places, weights, strict=True)),
        (Command("-e", places[1], 0), Command("-e", places[2], 0)),
        (Command("-d", places[0]),),
        (Command("-a", places[0], weights[-1]), Command("-e", places[1], weights[0])),
        (Command("-a", new, 0), Command("-e", places[3], weights[3] + 1)),
        (Command("-e", places[4], weights[4], threshold=1),),
    )


def scenarios(count: int = 256) -> list[Scenario]:
    """Both schedulers with every combination of flags, equal, mixed and heavy weights, both families."""
    weighed = ((1, 1, 1, 1, 1, 1, 1), (3, 1, 5, 40, 100, 0), (300, 200, 65535, 7, 1, 12))
    return [
        Scenario(scheduler, port, fallback, family, _history(family, weights), count)
        for scheduler in ("sh", "mh")
        for port in (False, True)
        for fallback in (False, True)
        for family in ("4", "6")
        for weights in weighed
    ]


def kernel_answers(asked: list[Scenario], directory: Path) -> list[list[list[int]]]:
    """Boots a kernel, has it answer in `directory`: for each scenario, stage and client, the number among `places`, -1 for none."""
    answers = boot(directory, {"scenarios": [scenario.asked() for scenario in asked]}, GUEST, memory="256M")["answers"]
    return [
        [[-1 if server is None else scenario.places.index((server[0], server[1])) for server in stage] for stage in stages]
        for scenario, stages in zip(asked, answers, strict=True)
    ]


def recorded() -> list[tuple[Scenario, list[list[int]]]]:
    """The scenarios of the recording, and what the kernel chose."""
    found = []
    for entry in json.loads(RECORDED.read_text())["scenarios"]:
        stages = tuple(tuple(Command(kind, (place[0], place[1]), *rest) for kind, place, *rest in stage) for stage in entry.pop("stages"))
        picks = [["0123456789".find(pick) for pick in stage] for stage in entry.pop("picks")]
        found.append((Scenario(stages=stages, **entry), picks))
    return found


def record(count: int = 128) -> None:
    """Asks a kernel and writes down what it chose."""
    asked = scenarios(count)
    with tempfile.TemporaryDirectory() as directory:
        answers = kernel_answers(asked, Path(directory))
    note = (
        "Chosen by Linux 6.1 (Debian's user-mode-linux, amd64). Stages: what ipvsadm did (-a adds, -e changes, -d takes out; where, weight, upper threshold), "
        "then `per_stage` new UDP clients: the bytes of shake_256(b'stage N IPv4'), six a client, or IPv6, eighteen: address (first byte 1 + it % 126, or 0x20 | it & 1), "
        "then port (1024 + it % 60000). Picks: a character for each client, the place among the real servers in the order in which they first appear, - for none."
    )
    lines = [
        json.dumps(scenario._asdict() | {"picks": ["".join("0123456789-"[pick] for pick in stage) for stage in stages]})
        for scenario, stages in zip(asked, answers, strict=True)
    ]
    body = ",\n".join(lines)
    RECORDED.write_text(f'{{"note": {json.dumps(note)},\n"scenarios": [\n{body}\n]}}\n')


if __name__ == "__main__":
    record()
