"""A failover as a picture: an SVG with answers and errors in each 10 ms, who forwarded them, and what was done meanwhile. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hydria.lab.load import Result

#: Seconds of a bar.
STEP = 0.01

_WIDTH, _LEFT, _RIGHT = 1200, 90, 16
_TOP, _BARS, _ERRORS, _BAND = 56, 120, 60, 22
_HEIGHT = _TOP + _BARS + _ERRORS + _BAND + 70
_COLOURS = ("#4f7ca8", "#d9822b", "#6a9a5b", "#8e6aa8")
_STYLE = (
    "text{font:12px sans-serif;fill:#222}.title{font-weight:bold;font-size:14px}.quiet{fill:#666}.paper{fill:#fff}"
    ".answer{fill:#4f7ca8}.error{fill:#c0392b}.axis{stroke:#999;stroke-width:1}.event{stroke:#222;stroke-dasharray:3 3}"
)


class Event(NamedTuple):
    """What was done, and when: seconds since the load began."""

    at: float
    what: str


def svg(title: str, results: Sequence[Result], events: Sequence[Event], *, begin: float = 0.0, end: float | None = None) -> str:
    """The picture of the time from `begin` to `end`, or to the last answer; the same results, the same bytes."""
    last = end if end is not None else max((one.ended for one in results), default=1.0)
    scale = _Scale(begin, max(last, begin + STEP))
    seen = [one for one in results if begin <= one.ended <= scale.end]
    answers, errors = _counts(scale, (one.ended for one in seen if not one.error)), _counts(scale, (one.ended for one in seen if one.error))
    most = max([1, *answers.values(), *errors.values()])
    base = _TOP + _BARS
    parts = [
        _text(16, 22, title, "title"),
        _text(16, 40, f"each bar is {STEP * 1000:g} ms; at most {most} in one", "quiet"),
        _text(16, _TOP + 14, "answers"),
        _text(16, base + 28, "errors"),
        _text(16, base + _ERRORS + 16, "forwarded by"),
        f'<line class="axis" x1="{_LEFT}" y1="{base}" x2="{_WIDTH - _RIGHT}" y2="{base}"/>',
        *_bars(scale, answers, base, -(_BARS - 4) / most, "answer"),
        *_bars(scale, errors, base + 1, (_ERRORS - 4) / most, "error"),
        *_band(scale, seen, base + _ERRORS),
        *_axis(scale, base + _ERRORS + _BAND),
    ]
    for number, event in enumerate(one for one in events if begin <= one.at <= scale.end):
        x = scale.x(event.at)
        parts.append(f'<line class="event" x1="{x:.1f}" y1="{_TOP - 4}" x2="{x:.1f}" y2="{base + _ERRORS + _BAND}"/>')
        parts.append(_text(x + 4, _HEIGHT - 22 + 13 * (number % 2), f"{event.at:.2f} s: {event.what}"))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
    return "\n".join([head, f"<style>{_STYLE}</style>", '<rect class="paper" width="100%" height="100%"/>', *parts, "</svg>"]) + "\n"


class _Scale(NamedTuple):
    begin: float
    end: float

    def x(self, at: float) -> float:
        return _LEFT + (at - self.begin) / (self.end - self.begin) * (_WIDTH - _LEFT - _RIGHT)

    @property
    def bar(self) -> float:
        return max(STEP / (self.end - self.begin) * (_WIDTH - _LEFT - _RIGHT), 0.6)


def _counts(scale: _Scale, moments: Iterator[float]) -> dict[int, int]:
    found: dict[int, int] = {}
    for at in moments:
        step = int((at - scale.begin) / STEP)
        found[step] = found.get(step, 0) + 1
    return found


def _bars(scale: _Scale, counts: dict[int, int], base: float, unit: float, kind: str) -> Iterator[str]:
    for step, count in sorted(counts.items()):
        height = abs(count * unit)
        y = base - height if unit < 0 else base
        yield f'<rect class="{kind}" x="{scale.x(scale.begin + step * STEP):.1f}" y="{y:.1f}" width="{scale.bar:.2f}" height="{height:.1f}"/>'


def _band(scale: _Scale, results: Sequence[Result], top: float) -> Iterator[str]:
    """From the first to the last of answers in a row that the same one forwarded."""
    answered = sorted((one.ended, one.by) for one in results if not one.error and one.by)
    colours = {by: _COLOURS[number % len(_COLOURS)] for number, by in enumerate(sorted({by for _, by in answered}))}
    run: list[tuple[float, str]] = []
    for moment in [*answered, (scale.end, "")]:
        if run and run[0][1] != moment[1]:
            left, right = scale.x(run[0][0]), scale.x(run[-1][0])
            width = max(right - left, scale.bar)
            yield f'<rect fill="{colours[run[0][1]]}" x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_BAND - 4}"/>'
            if width > 80:
                yield f'<text x="{left + 6:.1f}" y="{top + 13}" style="fill:#fff">{escape(run[0][1])}</text>'
            run = []
        run.append(moment)


def _axis(scale: _Scale, top: float) -> Iterator[str]:
    seconds = scale.end - scale.begin
    step = next((one for one in (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60) if seconds / one <= 16), 120)
    for number in range(int(seconds / step) + 1):
        at = scale.begin + number * step
        yield f'<line class="axis" x1="{scale.x(at):.1f}" y1="{top}" x2="{scale.x(at):.1f}" y2="{top + 5}"/>'
        yield _text(scale.x(at) - 10, top + 18, f"{at:g} s", "quiet")


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
