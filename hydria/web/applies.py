"""What was changed lately, how that came into force and why so, and whose clients moved. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydria.web import page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.outcomes import GenerationInfo
    from hydria.web.seen import Served
    from hydria.web.words import Tone

#: Changes that are shown, of all amphorae together, and lines of a plan.
_SHOWN, _LINES = 10, 20

_TONES: dict[str, Tone] = {"serving": "good", "refused": "bad", "past": "quiet"}


def latest(places: Sequence[tuple[str, Served]]) -> tuple[page.Apply, ...]:
    """The latest first. `places`: what to call an amphora, and the load balancer there."""
    found = [_apply(amphora, served, one) for amphora, served in places for one in served.generations]
    return tuple(sorted(found, key=lambda each: -each.made)[:_SHOWN])


def _apply(amphora: str, served: Served, one: GenerationInfo) -> page.Apply:
    plan = list(_plan(one))
    more = len(plan) - _LINES
    return page.Apply(
        amphora=amphora,
        number=one.number,
        made=one.made,
        state=one.state,
        tone=_TONES.get(one.state, "warn"),
        way=one.outcome.way if one.outcome is not None else "",
        milliseconds=round(sum(one.outcome.steps_ms.values()), 1) if one.outcome is not None and one.outcome.steps_ms else None,
        plan=(*plan[:_LINES], *([f"and {more} lines more"] if more > 0 else [])),
        moves=tuple(
            page.Move(pool=each.pool, share=each.share, least=each.least, why=each.why) for each in served.moved.get(one.number, ())
        ),
    )


def _plan(one: GenerationInfo) -> Iterator[str]:
    if one.rolled_back_to is not None:
        yield f"rolled back to generation {one.rolled_back_to}"
    if one.refused.strip():
        yield one.refused.strip().splitlines()[-1]
    if one.outcome is None:
        return
    if one.outcome.trial is not None:
        yield f"on trial; generation {one.outcome.trial.back_to} was to serve again unless it was confirmed"
    yield from (f"because: {why}" for why in one.outcome.reasons)
    yield from (f"command: {command}" for command in one.outcome.commands)
    yield from (f"with the next reload: {why}" for why in one.outcome.later)
    yield from (f"also: {what}" for what in one.outcome.also)
    if one.outcome.covered:
        yield "a later change came into force together with it"
    yield from (f"warning: {each.get('path', '')}: {each.get('message', '')}" for each in one.outcome.warnings)
