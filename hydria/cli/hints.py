"""--target of verbs that talk to agents: what the machines there cannot know of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from compiler import ProblemError, Target, documents
from compiler.target import ALIASES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.client import AgentClient

_Verb = TypeVar("_Verb", bound="Callable[..., Any]")


def hints_option(verb: _Verb) -> _Verb:
    """--target, as text; see `hints`."""
    return click.option(
        "--target",
        "hints_text",
        metavar="KEY=VALUE,…|@FILE",
        default="",
        help="What the machines there cannot know: topology=SINGLE,maxconn=…,log=…; or @FILE, the same and more (amphorae, vrrp, networks) as "
        "YAML or JSON.",
    )(verb)


def hints(text: str, clients: Sequence[AgentClient]) -> dict[str, Any]:
    """What --target says; whether it can be meant there, the agent knows. A mistake in its form is one of usage.

    Each of several agents knows best itself which `amphora` it is.
    """
    found = _read(text)
    return {name: value for name, value in found.items() if name != "amphora" or len(clients) == 1}


def _read(text: str) -> dict[str, Any]:
    try:
        if not text.startswith("@"):
            return _short(text)
        found = documents.parse(Path(text[1:]).read_bytes())
    except ProblemError as error:
        raise click.BadParameter("; ".join(problem.message for problem in error.problems), param_hint="--target") from error
    except OSError as error:
        raise click.BadParameter(f"{text[1:]!r} cannot be read: {error.strerror}", param_hint="--target") from error
    if not isinstance(found, dict):
        raise click.BadParameter(f"{text[1:]!r} holds no mapping of fields", param_hint="--target")
    return found


def _short(text: str) -> dict[str, Any]:
    """The command line's form: only what is said, not what would go without saying elsewhere."""
    keys = [part.partition("=")[0].strip() for part in text.split(",") if part.strip()]
    said: dict[str, Any] = msgspec.to_builtins(Target.parse(text))
    return {name: said[name] for name in (ALIASES.get(key, key) for key in keys)}
