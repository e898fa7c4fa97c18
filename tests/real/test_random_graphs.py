"""Random pairs of graphs through the whole pipeline: what runs after a PUT on top of another one is what a start with its files makes."""

from __future__ import annotations

import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, assume, event, given, settings
from hypothesis import strategies as st
from support.changing import RUN, running, shown
from support.direct import Direct, body, write_settings
from support.namespaces import Namespace
from support.programs import kill_everything
from support.random_graphs import CERTIFICATES, Part, changed_loadbalancers, lead_nowhere, loadbalancers

from agent.apply import files_of
from agent.errors import GraphRefused
from agent.paths import Paths
from compiler.plan import Files
from hydria.lab.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.haproxy import Haproxy
    from agent.outcomes import Outcome


class Pairs:
    """An agent, and another namespace of which nothing is used: what its HAProxy would be like if it were started there."""

    def __init__(self, agent: Direct, elsewhere: Namespace) -> None:
        self.agent = agent
        self.elsewhere = elsewhere
        authority = Authority()
        self.secrets = {name: authority.server(f"{name}.example").bundle_pem.decode() for name in CERTIFICATES}

    def try_out(self, old: Part, new: Part, *, boots: bool) -> Outcome:
        """How the second graph came; an AssertionError where it matters which was before."""
        lb, graphs, haproxies = str(uuid.uuid4()), self.agent.graphs, self.agent.haproxies
        try:
            graphs.put(lb, body(old, self.secrets))
            outcome = graphs.put(lb, body(new, self.secrets))
            serving = haproxies.generations(lb).linked("current")
            assert serving is not None
            assert serving.number == outcome.generation
            assert serving == haproxies.generations(lb).loading
            files = files_of(serving)
            left = haproxies.leaving.of(lb)
            assert left == {}, "nobody is connected"
            state = shown(haproxies.stats(lb), files)
            here = str(self.agent.paths.run / lb).encode()
            with (
                self.elsewhere.entered(),
                running(self.agent.haproxy, Files(files.configuration.replace(here, RUN + b"/lb"), files.contents)) as fresh,
            ):
                assert state == fresh.state(), outcome
            assert graphs.put(lb, body(new, self.secrets)).way == "noop"
            if boots:
                self.boot()
                assert state == shown(self.agent.haproxies.stats(lb), files), outcome
            return outcome
        finally:
            self.agent.graphs.delete(lb)

    def boot(self) -> None:
        """The power goes, and comes back."""
        self.agent.services.close()
        kill_everything(self.agent.paths)
        self.agent = self.agent.restarted()
        assert self.agent.restore() == []


@contextmanager
def pairs_on(haproxy: Haproxy) -> Iterator[Pairs]:
    # Not pytest's: a UNIX socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="hydria-") as directory, Namespace("amphora") as namespace, Namespace("elsewhere") as elsewhere:
        for each in (namespace, elsewhere):
            lead_nowhere(each)
        root = Path(directory)
        root.chmod(0o755)
        paths = Paths(root / "octavia", root / "octavia" / "certs", root / "interfaces", root / "run", root / "state")
        agent = Direct(paths, namespace.name, haproxy, write_settings(root, paths, haproxy.binary))
        made = Pairs(agent, elsewhere)
        try:
            yield made
        finally:
            made.agent.services.close()
            kill_everything(paths)


@pytest.fixture(scope="module")
def pairs(haproxy: Haproxy) -> Iterator[Pairs]:
    with pairs_on(haproxy) as made:
        yield made


def one_pair(pairs: Pairs, data: st.DataObject) -> None:
    old = data.draw(loadbalancers())
    new = data.draw(changed_loadbalancers(old))
    try:
        outcome = pairs.try_out(old, new, boots=data.draw(st.integers(0, 3)) == 0)
    except GraphRefused as error:
        if any(problem["code"] == "rejected-by-haproxy" for problem in error.problems):
            raise
        assume(False)  # the compiler says that it is none
    else:
        event(outcome.way)
        event(", ".join(sorted({reason.field for reason in outcome.reasons})) or "no reason")


@settings(max_examples=8, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.data())
def test_what_a_graph_comes_to_does_not_depend_on_the_one_before(pairs: Pairs, data: st.DataObject) -> None:
    one_pair(pairs, data)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_what_many_graphs_come_to_does_not_depend_on_the_ones_before(pairs: Pairs, data: st.DataObject) -> None:
    one_pair(pairs, data)
