"""What HAProxy has besides the configuration that a controller of the 1.0 contract sends: `additions`, and certificates (`Certified`)."""

from __future__ import annotations

import base64
import grp
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from agent import haproxy_text
from agent.named_contents import put_back
from agent.texts import render
from compiler.quoting import word

if TYPE_CHECKING:
    from pathlib import Path

    from agent.generations import Generation

#: Seconds that an old worker may go on after a reload, and reloads that it may see, where the controller does not say.
_HARD_STOP_AFTER = 3600
_MAX_RELOADS = 50


def additions(amphora: str, text: bytes, admin_socket: Path) -> bytes:
    """The file that HAProxy loads before the controller's `text`."""
    said = haproxy_text.read(text)
    return render(
        "haproxy/amphora.cfg.j2",
        peer=word(peer_name(amphora)),
        group=word(nobodys_group()) if said.user and not said.group else None,
        hard_stop_after=_HARD_STOP_AFTER,
        max_reloads=_MAX_RELOADS,
        admin_socket=word(str(admin_socket)),
    )


class Certified:
    """What is beside a configuration that a controller of the 1.0 contract sends: certificates below a directory."""

    def __init__(self, certificates: Path) -> None:
        self._certificates = certificates

    def differences(self, generation: Generation) -> list[str]:  # noqa: ARG002 - see `agent.apply.Beside`
        """None that anybody would mend."""
        return []

    def follow(self, generation: Generation, before: Generation | None) -> list[str]:  # noqa: ARG002 - see `agent.apply.Beside`
        """They are where their controller put them."""
        return []

    def put_back(self, generation: Generation) -> None:
        """Has them be what they were."""
        put_back(generation, self._certificates)


def peer_name(amphora: str) -> str:
    """What Octavia's configurations call this amphora among the peers: a name that HAProxy takes, made from the id."""
    digest = hashlib.sha1(amphora.encode(), usedforsecurity=False).digest()
    name = base64.b64encode(digest, altchars=b"_-").decode().rstrip("=")
    return f"x{name[1:]}" if name.startswith("-") else name


def nobodys_group() -> str:
    """The group that goes with `user nobody`: distributions disagree."""
    for name in ("nogroup", "nobody"):
        with suppress(KeyError):
            return grp.getgrnam(name).gr_name
    return "daemon"
