"""The receiver of heartbeats believes what is signed, and nothing else."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from agent.heartbeat.message import PoolState, document, seal
from hydria.lab.beats import Beats, WrongBeat, opened

BEAT = document("an-amphora", 1, {}, {"pool:listener": PoolState("UP", {"m": "UP"})})


@pytest.fixture
def beats() -> Iterator[Beats]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiving:
        yield Beats(receiving, "key", lambda: 7.0)


def test_a_signed_beat_is_taken(beats: Beats) -> None:
    for _ in range(2):
        beats.take(seal(BEAT, "key"))
    [(amphora, last)] = beats.last().items()
    assert (amphora, last["at"], last["count"], beats.wrong) == ("an-amphora", 7.0, 2, 0)
    assert last["beat"]["pools"]["pool:listener"]["members"] == {"m": "UP"}


@pytest.mark.parametrize(
    "datagram",
    [seal(BEAT, "other"), seal(BEAT, "key")[:-1] + b"0", b"", b"x" * 64, seal(BEAT, "key")[1:]],
    ids=["key", "signature", "empty", "short", "cut"],
)
def test_anything_else_is_counted(beats: Beats, datagram: bytes) -> None:
    beats.take(datagram)
    assert (beats.last(), beats.wrong) == ({}, 1)
    with pytest.raises(WrongBeat):
        opened(datagram, "key")
