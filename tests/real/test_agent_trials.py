"""Changes on trial before a real agent: taken back unless confirmed, whatever becomes of whoever made them, and of the agent."""

from __future__ import annotations

import tempfile
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.driven import Driven
from support.polling import eventually

from agent.errors import InvalidRequest, NotFoundError, PreconditionFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def made() -> Iterator[Driven]:
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as directory, ExitStack() as stack:
        yield Driven(stack, Path(directory))


@pytest.fixture
def site(made: Driven) -> Iterator[Driven]:
    made.lb = str(uuid.uuid4())
    yield made
    made.call("delete_loadbalancer")


def test_what_nobody_confirms_is_taken_back(site: Driven) -> None:
    site.call("put_loadbalancer", site.graph(1, 1))
    tried = site.call("put_loadbalancer", site.graph(3, 1), confirm_within=1)
    assert (tried.way, tried.generation, tried.trial.back_to) == ("runtime", 2, 1)
    assert 0 < tried.trial.left <= 1
    eventually(lambda: site.weights() == [1, 1], "the graph that was before the trial")
    latest = site.call("generations")[0]
    assert (latest.number, latest.rolled_back_to, latest.outcome.way) == (3, 1, "runtime")
    assert site.call("loadbalancer_status").trial is None
    with pytest.raises(NotFoundError, match="nothing is on trial"):
        site.call("confirm")


def test_what_is_confirmed_stays(site: Driven) -> None:
    site.call("put_loadbalancer", site.graph(1, 1))
    tried = site.call("put_loadbalancer", site.graph(3, 1), confirm_within=60)
    assert site.call("loadbalancer_status").trial.generation == 2
    with pytest.raises(PreconditionFailed):
        site.call("confirm", if_match='"1-0"')
    assert site.call("confirm", if_match=tried.etag).etag == tried.etag
    with pytest.raises(NotFoundError):
        site.call("confirm")
    assert site.call("loadbalancer_status").trial is None
    assert site.weights() == [3, 1]


def test_a_load_balancer_that_was_not_there_goes_again(site: Driven) -> None:
    tried = site.call("put_loadbalancer", site.graph(1, 1), confirm_within=1)
    assert (tried.way, tried.trial.back_to) == ("start", 0)
    eventually(lambda: site.lb not in site.there(), "no load balancer")
    assert not site.serves()


def test_trials_on_trials_go_back_to_what_was_good(site: Driven) -> None:
    site.call("put_loadbalancer", site.graph(1, 1))
    site.call("put_loadbalancer", site.graph(2, 1), confirm_within=60)
    second = site.call("put_loadbalancer", site.graph(3, 1), confirm_within=1)
    assert second.trial.back_to == 1
    eventually(lambda: site.weights() == [1, 1], "the graph that was before both trials")


def test_a_write_that_is_meant_and_a_rollback_end_a_trial(site: Driven) -> None:
    site.call("put_loadbalancer", site.graph(1, 1))
    site.call("put_loadbalancer", site.graph(2, 1), confirm_within=60)
    site.call("put_loadbalancer", site.graph(3, 1))
    assert site.call("loadbalancer_status").trial is None
    site.call("put_loadbalancer", site.graph(4, 1), confirm_within=60)
    site.call("put_loadbalancer", site.graph(5, 1), confirm_within=60)
    assert site.call("rollback").way == "runtime"
    assert site.call("loadbalancer_status").trial is None
    assert site.weights() == [3, 1]


def test_nothing_is_tried_where_nothing_changes_or_it_is_refused(site: Driven) -> None:
    site.call("put_loadbalancer", site.graph(1, 1))
    assert site.call("put_loadbalancer", site.graph(1, 1), confirm_within=60).trial is None
    with pytest.raises(PreconditionFailed):
        site.call("put_loadbalancer", site.graph(2, 1), confirm_within=60, if_match='"9-0"')
    assert site.call("loadbalancer_status").trial is None
    with pytest.raises(InvalidRequest, match="confirm_within"):
        site.call("put_loadbalancer", site.graph(2, 1), confirm_within=0)
    site.call("put_loadbalancer", site.graph(2, 1), confirm_within=60)
    with pytest.raises(PreconditionFailed):
        site.call("put_loadbalancer", site.graph(3, 1), confirm_within=60, if_match='"9-0"')
    assert site.call("loadbalancer_status").trial.back_to == 1


@pytest.mark.parametrize("within", [1, 8])
def test_an_agent_that_is_killed_goes_on_with_the_trial(site: Driven, within: int) -> None:
    site.call("put_loadbalancer", site.graph(1, 1))
    site.call("put_loadbalancer", site.graph(2, 1, port=8081), confirm_within=within)
    site.amphora.kill()
    site.amphora.start()
    eventually(lambda: site.weights() == [1, 1] and site.serves(), "what was before the trial", 30)


def test_a_machine_that_is_rebooted_does_not_keep_what_was_tried(site: Driven) -> None:
    site.call("put_loadbalancer", site.graph(1, 1))
    site.call("put_loadbalancer", site.graph(2, 1, port=8081), confirm_within=1)
    site.amphora.power_off()
    site.amphora.run_agent("restore")
    site.amphora.start()
    eventually(lambda: site.weights() == [1, 1], "what was before the trial", 30)
