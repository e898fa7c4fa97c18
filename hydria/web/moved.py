"""Who went elsewhere when a generation took the place of another: counted of clients that are drawn, always the same. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.drawing import drawn
from compiler.moves import Side, families, moves
from compiler.target import Target
from hydria.web.seen import PoolMove

if TYPE_CHECKING:
    from compiler.graph import LoadBalancer
    from compiler.move_counts import Case

#: Clients that are drawn: a page tells percents.
_SAMPLE = 20_000


def moved(old: LoadBalancer, new: LoadBalancer, haproxy: tuple[int, ...]) -> tuple[PoolMove, ...]:
    """Of each source-hashed pool, the most that moved of the cases that there are. `haproxy`: the version that runs both."""
    target = Target(haproxy=haproxy[:2]) if haproxy else Target()
    one, other = Side(old, target), Side(new, target)
    found = moves(one, other, drawn(_SAMPLE, families(one, other)))
    told = []
    for pool in found.pools:
        worst = max(pool.cases, key=_share, default=None)
        told.append(
            PoolMove(
                pool.object.name or pool.object.id,
                worst.share if worst else None,
                worst.least_share if worst else None,
                "; ".join(pool.reasons),
            )
        )
    return tuple(told)


def _share(case: Case) -> float:
    return -1.0 if case.share is None else case.share
