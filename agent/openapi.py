"""The contracts as OpenAPI 3.1 documents, made of the routes that there are and of the structs by which bodies are read and written."""

from __future__ import annotations

import inspect
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec
from werkzeug import routing

from agent import answers
from agent.app import API_VERSION, make_app
from agent.graph_request import Body
from agent.identifiers import CERTIFICATE_NAME, ID
from agent.network.requests import NetworkBody, Rule, VipBody
from agent.network.words import MAC, Address, Mac, Subnet
from agent.outcomes import Drain, FileInfo, Forecast, GenerationInfo, GraphRefusal, Outcome, Progress, Resigned, Status, Trial
from agent.routes.actions import ACTIONS
from agent.routes.bodies import CERTIFICATE, CONFIGURATION, DESCRIPTION, OWN
from agent.statistics import Statistics
from agent.trials import LONGEST

if TYPE_CHECKING:
    from agent.collaborators import Agent

#: What an answer's or a request's body is where it is no JSON.
_TEXT, _RAW = "text/plain", "application/octet-stream"

_ABOUT = """What a controller asks of an agent, over TLS with a certificate on either side; the agent's carries the amphora's id as a DNS name.
All errors are JSON. A JSON 404 whose details contain "No suitable network interface found" means: not yet, ask again.
A body is raw bytes where no struct is named, whatever its Content-Type says."""


class Operation(NamedTuple):
    """A route: what it does; the type of its body, or that it is raw, and its bound in bytes; its answer; the refusals that are its own.

    `query`: what a query may have; `conditional`: whether `If-Match` is heeded; `otherwise`: another answer that it may give.
    """

    summary: str
    body: Any = None
    limit: int = 0
    answer: Any = answers.Done
    status: int = 200
    refusals: tuple[int, ...] = ()
    tagged: bool = False
    query: tuple[str, ...] = ()
    conditional: bool = False
    otherwise: Any = None


def _upload(summary: str, limit: int, *, status: int = 200, tagged: bool = True) -> Operation:
    return Operation(summary, _RAW, limit, status=status, tagged=tagged)


#: Any route answers so: to what is no HTTP of this contract, and where the machine fails.
_ANYWHERE = {400, 500, 503}
_REFUSALS = {404, 409, *_ANYWHERE}
#: What 2.0 has besides.
_GRAPHS_REFUSALS = {412, 422}

#: By Flask's name of the route.
OPERATIONS = {
    "discovery": Operation("The contract that the agent speaks", answer=answers.Version),
    "amphora.info": Operation("What the amphora is", answer=answers.Info),
    "amphora.details": Operation("What the amphora is and how it fares", answer=answers.Details),
    "amphora.listeners": Operation("All listeners", answer=list[answers.Listener]),
    "amphora.certificate": _upload("The agent's own certificate and key, for connections from now on", OWN, status=202, tagged=False),
    "amphora.config": _upload("Another amphora-agent.conf", OWN, status=202, tagged=False),
    "certificates.upload": _upload("A certificate with its key, a CA, a revocation list or a list of certificates", CERTIFICATE),
    "certificates.md5": Operation("The MD5 of such a file", answer=answers.Digest, refusals=(404,), tagged=True),
    "certificates.delete": Operation("Removes such a file; an absent one is fine"),
    "interfaces.plug_vip": Operation("Makes an interface the VIP's", VipBody, DESCRIPTION, status=202, refusals=(404, 409)),
    "interfaces.plug_network": Operation("Gives an interface its addresses", NetworkBody, DESCRIPTION, status=202, refusals=(404,)),
    "interfaces.interface": Operation("The interface that has an address", answer=answers.Interface, refusals=(404,)),
    "interfaces.set_rules": Operation("Lets in what these rules say and nothing else", tuple[Rule, ...], DESCRIPTION, refusals=(404,)),
    "loadbalancers.upload": _upload("HAProxy's configuration, to be checked and put in place", CONFIGURATION, status=202),
    "loadbalancers.config": Operation("HAProxy's configuration as it was sent", answer=_TEXT, refusals=(404,), tagged=True),
    "loadbalancers.act": Operation("Starts, stops or reloads a load balancer or an LVS listener", status=202, refusals=(404,)),
    "loadbalancers.delete": Operation("Stops and removes a load balancer or an LVS listener; an absent one is fine"),
    "lvs.upload": _upload("keepalived's configuration of a UDP or SCTP listener, to be checked and put in place", CONFIGURATION),
    "lvs.config": Operation("keepalived's configuration as it was sent", answer=_TEXT, refusals=(404,), tagged=True),
    "vrrp.upload": _upload("keepalived's configuration for VRRP, to be checked and put in place", CONFIGURATION),
    "vrrp.act": Operation("Starts, stops or reloads the keepalived that moves the VIPs", status=202, refusals=(404,)),
}

#: The same of 2.0.
GRAPHS = {
    "graphs.loadbalancers": Operation("The ids of the load balancers that there are", answer=list[str]),
    "graphs.put": Operation(
        "Has a load balancer be what a graph says, or says what that would do",
        Body,
        CONFIGURATION,
        Outcome,
        refusals=(409, 412, 422),
        tagged=True,
        query=("dry_run", "confirm_within"),
        otherwise=Forecast,
        conditional=True,
    ),
    "trials.confirm": Operation(
        "What was put with `confirm_within` stays", answer=Trial, refusals=(404, 412), tagged=True, conditional=True
    ),
    "graphs.graph": Operation("The graph that serves", answer=msgspec.Raw, refusals=(404,), tagged=True),
    "graphs.delete": Operation("Ends it; an absent one is fine", answer=None, status=204, refusals=(412,), conditional=True),
    "graphs.files": Operation("The files of a generation", answer=list[FileInfo], refusals=(404,), query=("generation",)),
    "graphs.history": Operation("The generations that are kept", answer=list[GenerationInfo], refusals=(404,)),
    "graphs.rollback": Operation(
        "Has it be what it was", answer=Outcome, refusals=(404, 412), tagged=True, query=("generation",), conditional=True
    ),
    "graphs.status": Operation("How it fares", answer=Status, refusals=(404,), tagged=True),
    "graphs.progress": Operation("Where changes are, when there is news", answer=Progress, query=("after", "wait")),
    "drains.drain": Operation("A member gets no new clients", answer=Drain, refusals=(404,), query=("deadline",)),
    "drains.drained": Operation("How far that is", answer=Drain, refusals=(404,)),
    "drains.undrain": Operation("It gets its share again", answer=None, status=204, refusals=(404,)),
    "resigning.resign": Operation(
        "The amphora of a pair that has the VIPs gives them away when no request is in progress",
        answer=Resigned,
        refusals=(404, 409),
        query=("within",),
    ),
    "monitoring.statistics": Operation("A row for each listener, pool and member", answer=Statistics),
}
#: Contract → its operations, and what its routes begin with.
CONTRACTS = {API_VERSION: (OPERATIONS, f"/{API_VERSION}/"), "2.0": (GRAPHS, "/2.0/")}

_UUID: dict[str, Any] = {"type": "string", "pattern": f"^({ID.pattern})$"}
_ADDRESS: dict[str, Any] = {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
_PARAMETERS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("amphora", "lb", "identifier", "listener", "member"), _UUID),
    **dict.fromkeys(("address", "vip"), _ADDRESS),
    "name": {"type": "string", "pattern": f"^{CERTIFICATE_NAME.pattern}$"},
    "action": {"enum": list(ACTIONS)},
}
_NUMBER: dict[str, Any] = {"type": "number", "minimum": 0}
_QUERY: dict[str, dict[str, Any]] = {
    "dry_run": {"enum": ["0", "1"]},
    "confirm_within": {"type": "number", "minimum": 1, "maximum": LONGEST, "description": "Seconds"},
    "generation": {"type": "integer", "minimum": 1},
    **dict.fromkeys(("after", "wait", "deadline", "within"), _NUMBER),
}

_STRINGS: dict[type, dict[str, Any]] = {
    Address: _ADDRESS,
    Subnet: {"type": "string", "description": "A network: 192.0.2.0/24, 2001:db8::/64."},
    Mac: {"type": "string", "pattern": f"^{MAC.pattern}$"},
}


def document(contract: str = API_VERSION) -> dict[str, Any]:
    """All routes. Raises KeyError where one of them is not described here."""
    # No route is called, so nothing behind them is needed.
    routes = make_app(cast("Agent", None)).url_map
    operations, _ = CONTRACTS[contract]
    structs = {
        kind
        for operation in operations.values()
        for kind in (operation.body, operation.answer, operation.otherwise)
        if not isinstance(kind, str | None)
    }
    refusal = answers.Refusal if contract == API_VERSION else GraphRefusal
    statuses = _REFUSALS if contract == API_VERSION else _REFUSALS | _GRAPHS_REFUSALS
    ordered = sorted(structs | {refusal}, key=str)
    schemas, components = msgspec.json.schema_components(
        ordered, schema_hook=_STRINGS.__getitem__, ref_template="#/components/schemas/{name}"
    )
    if contract == API_VERSION:
        # These numbers Octavia's agent writes as text, so ours does.
        for name in ("user", "system", "soft_irq"):
            components["Processors"]["properties"][name]["type"] = "string"
        components["Details"]["properties"]["load"]["items"] = {"type": "string"}
    known = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, Any] = {}
    for rule in sorted((rule for rule in routes.iter_rules() if is_contract(rule, contract)), key=lambda rule: rule.rule):
        place = paths.setdefault(rule.rule.replace("<", "{").replace(">", "}"), {})
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": _PARAMETERS[name]} for name in re.findall(r"<(\w+)>", rule.rule)
        ]
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            described = _operation(rule.endpoint, operations[rule.endpoint], known)
            given = parameters + _more(operations[rule.endpoint])
            place[method.lower()] = ({"parameters": given} if given else {}) | described
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hydria's agent", "version": contract, "description": _ABOUT.replace("\n", " ")},
        "security": [{"certificate": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"certificate": {"type": "mutualTLS", "description": "Of an authority in the setting agent_server_ca."}},
            "responses": {str(status): _refusal(status, known[refusal]) for status in sorted(statuses)},
            "schemas": components,
        },
    }


def text(contract: str = API_VERSION) -> str:
    """The document as a file."""
    return msgspec.json.format(msgspec.json.encode(_cleaned(document(contract))), indent=2).decode() + "\n"


def _cleaned(part: Any) -> Any:
    """The same with descriptions as they are meant: docstrings come with their indentation before Python 3.13."""
    if isinstance(part, dict):
        return {
            name: inspect.cleandoc(value) if name == "description" and isinstance(value, str) else _cleaned(value)
            for name, value in part.items()
        }
    return [_cleaned(each) for each in part] if isinstance(part, list) else part


def is_contract(rule: routing.Rule, contract: str = API_VERSION) -> bool:
    """Whether a route is part of it: the agent may have others of its own."""
    return (rule.endpoint == "discovery" and contract == API_VERSION) or rule.rule.startswith(CONTRACTS[contract][1])


def _more(operation: Operation) -> list[dict[str, Any]]:
    """What a request may have besides its path and body."""
    found: list[dict[str, Any]] = [{"name": name, "in": "query", "schema": _QUERY[name]} for name in operation.query]
    return found + ([{"name": "If-Match", "in": "header", "schema": {"type": "string"}}] if operation.conditional else [])


def _operation(name: str, operation: Operation, known: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"operationId": name, "summary": operation.summary}
    if operation.body is not None:
        raw = operation.body == _RAW
        content = {_RAW: {}} if raw else {"application/json": {"schema": known[operation.body]}}
        found["requestBody"] = {"required": True, "description": f"At most {operation.limit} bytes.", "content": content}
    told: dict[str, Any] = {_TEXT: {}} if operation.answer == _TEXT else {}
    if operation.answer != _TEXT and operation.answer is not None:
        schemas = [known[answer] for answer in (operation.answer, operation.otherwise) if answer is not None]
        told = {"application/json": {"schema": {"anyOf": schemas} if len(schemas) > 1 else schemas[0]}}
    done = operation.answer is answers.Done or operation.answer is None
    success: dict[str, Any] = {"description": "Done" if done else "What was asked for"} | ({"content": told} if told else {})
    if operation.tagged:
        means = "What `If-Match` takes" if name in GRAPHS else "The content's MD5, in hexadecimal digits, without quotation marks"
        success["headers"] = {"ETag": {"description": means, "schema": {"type": "string"}}}
    found["responses"] = {str(operation.status): success} | {
        str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted({*operation.refusals, *_ANYWHERE})
    }
    return found


def _refusal(status: int, schema: dict[str, Any]) -> dict[str, Any]:
    # RFC 9110 15.5.21; Python before 3.13 has the older name.
    phrase = "Unprocessable Content" if status == HTTPStatus(422) else HTTPStatus(status).phrase
    return {"description": phrase, "content": {"application/json": {"schema": schema}}}
