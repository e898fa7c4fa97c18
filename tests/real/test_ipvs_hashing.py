"""IPVS's schedulers sh and mh: the model against a kernel's choices, recorded ones and, in the slow run, those of a kernel that is booted here."""

from __future__ import annotations

from pathlib import Path

import pytest
from ipvs_kernel import Scenario, kernel_answers, recorded, scenarios

RECORDED = recorded()


@pytest.mark.parametrize(("scenario", "chosen"), RECORDED, ids=[scenario.name for scenario, _ in RECORDED])
def test_the_model_chooses_as_the_recorded_kernel_did(scenario: Scenario, chosen: list[list[int]]) -> None:
    assert scenario.expected() == chosen


def test_the_recording_covers_every_scenario_with_a_thousand_clients_for_each_scheduler_with_and_without_ports() -> None:
    assert [scenario._replace(per_stage=0) for scenario, _ in RECORDED] == scenarios(0)
    for scheduler in ("sh", "mh"):
        for port in (False, True):
            told = [chosen for scenario, chosen in RECORDED if scenario.scheduler == scheduler and scenario.port == port]
            assert sum(pick >= 0 for stages in told for stage in stages for pick in stage) >= 1000


@pytest.mark.parametrize(
    "asked",
    [
        # 1 080 clients for each scheduler, with ports and without, by both families.
        pytest.param([each for each in scenarios(90)[1::3] if each.fallback], id="quick"),
        pytest.param(scenarios(256), id="thorough", marks=pytest.mark.slow),
    ],
)
def test_the_model_chooses_as_this_kernel_does(asked: list[Scenario], tmp_path: Path) -> None:
    answers = kernel_answers(asked, tmp_path)
    # Which kind of kernel this is, the first scenario tells; it is so in all others.
    at_once = answers[0] != asked[0].expected()
    for scenario, chosen in zip(asked, answers, strict=True):
        assert scenario.expected(at_once=at_once) == chosen, scenario.name
