"""Keystone of a lab: who is who, and how that is told to it and to a shell. Its passwords are in files that root alone can read."""

from __future__ import annotations

import http.client
import json
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from agent.errors import SystemFault
from agent.files import create_file
from hydria.lab.octavia_plan import PROJECT_NAME, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: The file of passwords; that of what a shell is to be told for each of those who ask.
PASSWORDS, SHELL = "keystone.json", "{}.openrc"
#: Who may do everything, who has a project and may do what is the project's, who Octavia is; and their projects.
ADMIN, USER, SERVICE = "admin", "lab", "octavia"
_PROJECTS = {ADMIN: "admin", USER: PROJECT_NAME, SERVICE: "service"}
_ROLES = {USER: "member", SERVICE: "service"}
#: Bytes of randomness in a password.
_PASSWORD = 18
#: Seconds for an answer.
_PATIENCE = 60.0


class Passwords(msgspec.Struct, frozen=True):
    """Of those who ask."""

    admin: str
    lab: str
    octavia: str

    def of(self, who: str) -> str:
        """Raises AttributeError."""
        return str(getattr(self, who))


def invent(directory: Path) -> None:
    """Makes passwords for a lab. Raises OSError."""
    made = Passwords(*(secrets.token_urlsafe(_PASSWORD) for _ in Passwords.__struct_fields__))
    create_file(directory / PASSWORDS, msgspec.json.encode(made), 0o600)


def passwords(directory: Path) -> Passwords:
    """Those of a lab. Raises OSError."""
    return msgspec.json.decode((directory / PASSWORDS).read_bytes(), type=Passwords)


def environment(identity: str, who: str, password: str) -> dict[str, str]:
    """What `openstack` wants to be told, for somebody."""
    return {
        "OS_AUTH_TYPE": "password",
        "OS_AUTH_URL": identity,
        "OS_IDENTITY_API_VERSION": "3",
        "OS_REGION_NAME": REGION,
        "OS_USERNAME": who,
        "OS_PASSWORD": password,
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_NAME": _PROJECTS[who],
        "OS_PROJECT_DOMAIN_ID": "default",
    }


def shell(variables: Mapping[str, str]) -> str:
    """The command of a shell that has them."""
    return f"export {' '.join(f'{key}={value}' for key, value in variables.items())}"


class Keystone:
    """At `identity`. Raises SystemFault where it refuses, OSError where it does not answer."""

    def __init__(self, identity: str) -> None:
        self._identity = urlsplit(identity)
        self.url = identity

    def token(self, who: str, password: str) -> str:
        """What proves that it is somebody, in their project."""
        user = {"name": who, "password": password, "domain": {"id": "default"}}
        scope = {"project": {"name": _PROJECTS[who], "domain": {"id": "default"}}}
        asked = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        return self._asked("POST", "/auth/tokens", "", asked)[1]

    def furnish(self, kept: Passwords, endpoint: str) -> None:
        """Makes what a lab wants, once: users, their projects and roles, and where load balancers and networks are to be found."""
        token = self.token(ADMIN, kept.admin)
        roles = {one["name"]: one["id"] for one in self._asked("GET", "/roles", token)[0]["roles"]}
        for who, role in _ROLES.items():
            project = self._made(token, "project", {"name": _PROJECTS[who], "domain_id": "default"})
            user = self._made(token, "user", {"name": who, "password": kept.of(who), "domain_id": "default", "default_project_id": project})
            self._asked("PUT", f"/projects/{project}/users/{user}/roles/{roles[role]}", token)
        for kind in ("load-balancer", "network"):
            self.announce(token, kind, endpoint)

    def announce(self, token: str, kind: str, endpoint: str) -> None:
        """Has it tell where something is to be found."""
        service = self._made(token, "service", {"type": kind, "name": kind})
        self._made(token, "endpoint", {"service_id": service, "interface": "public", "url": endpoint, "region_id": REGION})

    def _made(self, token: str, kind: str, thing: dict[str, Any]) -> str:
        """The id of what is made."""
        return str(self._asked("POST", f"/{kind}s", token, {kind: thing})[0][kind]["id"])

    def _asked(self, method: str, path: str, token: str, document: dict[str, Any] | None = None) -> tuple[dict[str, Any], str]:
        """The answer, and the token that it brings."""
        connection = http.client.HTTPConnection(self._identity.hostname or "", self._identity.port, timeout=_PATIENCE)
        try:
            body = None if document is None else json.dumps(document)
            headers = {"Content-Type": "application/json", **({"X-Auth-Token": token} if token else {})}
            connection.request(method, f"{self._identity.path}{path}", body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except http.client.HTTPException as error:
            raise SystemFault(f"{self.url} gives no whole answer: {error!r}") from error
        finally:
            connection.close()
        if answer.status >= 300:
            raise SystemFault(f"{self.url}{path} answers {answer.status}: {text.decode(errors='replace')[:1000]}")
        return json.loads(text) if text else {}, answer.headers.get("X-Subject-Token", "")
