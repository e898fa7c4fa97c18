"""Where a client's connection, or its request, goes: which listener takes it, which L7 policy acts and why, which pool, which member.

The answer is for what `lower` renders, so it keeps its order: REJECT before redirects before pools, each by position; the first policy
that is true acts. Health is no part of a graph: members count as up unless they are said to be down.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Any, Literal

import msgspec

from compiler import picking
from compiler.graph import L7Policy, L7Rule, Listener, LoadBalancer, Member, Pool
from compiler.index import Index, reference
from compiler.lower.frontends import in_order
from compiler.matching import Request, judge, quoted
from compiler.picking import Client
from compiler.problems import ObjectRef
from compiler.target import Target

#: What becomes of it. `refused`: no connection, or one that is closed at once; `rejected`: 403; `unavailable`: 503, or a connection that is closed;
#: `unknown`: a policy's verdict cannot be told.
Outcome = Literal["refused", "rejected", "redirected", "pool", "unavailable", "metrics", "unknown"]


class RuleSaid(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, what it asks (`rule`, in words), and its verdict; `true` is None where that cannot be told."""

    object: ObjectRef
    path: str
    rule: str
    true: bool | None
    because: str


class PolicySaid(msgspec.Struct, frozen=True, kw_only=True):
    """A policy, and whether it is true of the request: `evaluated` says whether HAProxy came to it at all, `note` why it has no verdict."""

    object: ObjectRef
    path: str
    action: str
    evaluated: bool
    true: bool | None = None
    note: str = ""
    rules: tuple[RuleSaid, ...] = ()


class MemberSaid(msgspec.Struct, frozen=True, kw_only=True):
    """A member, and where it is."""

    object: ObjectRef
    path: str
    address: str
    protocol_port: int
    weight: int
    backup: bool


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `because` tells the steps in words; `acted` is the policy that decided, None for the default. `status` and `location` are
    HAProxy's own answer's; `candidates` who may get the client, `member` who does, `member_because` why, or why that cannot be told.
    """

    outcome: Outcome
    listener: ObjectRef
    listener_path: str
    because: tuple[str, ...]
    policies: tuple[PolicySaid, ...] = ()
    acted: ObjectRef | None = None
    status: int | None = None
    location: str | None = None
    pool: ObjectRef | None = None
    pool_path: str | None = None
    candidates: tuple[MemberSaid, ...] = ()
    member: MemberSaid | None = None
    member_because: str = ""


def listeners(graph: LoadBalancer, wanted: str | None = None, port: int | None = None) -> list[Listener]:
    """The listeners that a name, id or port means; all where nothing is given."""
    return [
        listener
        for listener in graph.listeners
        if (wanted is None or wanted in (listener.id, listener.name, str(listener.protocol_port)))
        and port in (None, listener.protocol_port)
    ]


def where(
    graph: LoadBalancer, listener: Listener, client: Client, request: Request, target: Target | None = None, *, down: Collection[str] = ()
) -> Where:
    """Where the client's request (its connection, for a listener that does not look into requests) to this listener goes.

    The graph has been checked and has no errors. `down` holds the ids of members that health checks would find down.
    """
    return _Search(Index(graph), listener, client, request, target or Target(), down=down).answer()


class _Search:
    def __init__(
        self, index: Index, listener: Listener, client: Client, request: Request, target: Target, *, down: Collection[str]
    ) -> None:
        self.index = index
        self.listener = listener
        self.client = client
        self.request = request
        self.target = target
        self.down = down
        self.because: list[str] = []
        self.policies: list[PolicySaid] = []

    def answer(self) -> Where:
        refusal = self._refusal()
        if refusal:
            return self._end("refused", refusal)
        if self.listener.protocol == "PROMETHEUS":
            status = 200 if self.request.path == "/metrics" else 404
            return self._end(
                "metrics", "HAProxy itself answers a PROMETHEUS listener's clients, with its metrics at /metrics", status=status
            )
        if self.listener.protocol not in ("HTTP", "TERMINATED_HTTPS"):
            return self._pool(self.index.default_pool(self.listener), None)
        acting = self._acting()
        if acting is None:
            return self._pool(self.index.default_pool(self.listener), None)
        if self.policies and next(said for said in self.policies if said.object.id == acting.id).true is None:
            return self._end("unknown", "whether this policy acts cannot be told, and so not what comes after it", acted=reference(acting))
        return self._act(acting)

    def _refusal(self) -> str:
        """Why no request gets through to this listener, "" where it does."""
        graph, listener = self.index.graph, self.listener
        for node in (graph, listener):
            if not node.admin_state_up:
                return f"the {reference(node).type} is switched off (admin_state_up: false), so nothing listens"
        address = ipaddress.ip_address(self.client.address)
        vips = [graph.vip_address, *(vip.ip_address for vip in graph.additional_vips)]
        if self.target.bind_address is None and address.version not in {ipaddress.ip_address(vip).version for vip in vips}:
            return f"the load balancer has no IPv{address.version} address, so {address} cannot reach it"
        if listener.allowed_cidrs:
            networks = [ipaddress.ip_network(cidr, strict=False) for cidr in listener.allowed_cidrs]
            inside = next((str(network) for network in networks if address in network), None)
            if inside is None:
                return f"{address} is in none of the networks in allowed_cidrs"
            self.because.append(f"{address} may connect: it is in {inside}, one of allowed_cidrs")
        if listener.client_authentication == "MANDATORY" and self.request.subject is None and listener.protocol == "TERMINATED_HTTPS":
            return "the listener wants a certificate of every client (client_authentication: MANDATORY), and this one shows none"
        return ""

    def _acting(self) -> L7Policy | None:
        """The first policy that is true, or of which that cannot be told; on the way, what each says."""
        acting: L7Policy | None = None
        for policy in in_order(self.listener):
            said = self._judged(policy, reached=acting is None)
            self.policies.append(said)
            if acting is None and said.evaluated and said.true is not False:
                acting = policy
        return acting

    def _judged(self, policy: L7Policy, *, reached: bool) -> PolicySaid:
        rules = [rule for rule in policy.rules if rule.admin_state_up]
        note = self._left_out(policy, rules) or ("" if reached else "not reached: a policy before it has decided")
        common: dict[str, Any] = {"object": reference(policy), "path": self.index.path(policy), "action": policy.action}
        if note:
            return PolicySaid(**common, evaluated=False, note=note)
        said = tuple(self._rule(rule) for rule in rules)
        verdicts = {rule.true for rule in said}
        return PolicySaid(**common, evaluated=True, true=False if False in verdicts else None if None in verdicts else True, rules=said)

    def _left_out(self, policy: L7Policy, rules: list[L7Rule]) -> str:
        """Why the configuration does not hold this policy, "" where it does."""
        if not policy.admin_state_up:
            return "switched off (admin_state_up: false)"
        if not rules:
            return "without an enabled rule it never acts"
        pool = self.index.redirect_pool(policy)
        if policy.action == "REDIRECT_TO_POOL" and (pool is None or not pool.admin_state_up):
            return "its pool is switched off (admin_state_up: false)"
        return ""

    def _rule(self, rule: L7Rule) -> RuleSaid:
        verdict = judge(rule, self.request)
        asked = " ".join(filter(None, ("not" if rule.invert else "", rule.type, rule.key, rule.compare_type, quoted(rule.value))))
        return RuleSaid(object=reference(rule), path=self.index.path(rule), rule=asked, true=verdict.true, because=verdict.because)

    def _act(self, policy: L7Policy) -> Where:
        acted = reference(policy)
        if policy.action == "REJECT":
            return self._end("rejected", "the policy rejects the request", acted=acted, status=403)
        if policy.action == "REDIRECT_TO_POOL":
            return self._pool(self.index.redirect_pool(policy), policy)
        location = policy.redirect_url if policy.action == "REDIRECT_TO_URL" else f"{policy.redirect_prefix}{self.request.target}"
        code = policy.redirect_http_code or 302
        return self._end("redirected", "the policy redirects the client", acted=acted, status=code, location=location)

    def _pool(self, pool: Pool | None, policy: L7Policy | None) -> Where:
        http = self.listener.protocol in ("HTTP", "TERMINATED_HTTPS")
        status = 503 if http else None
        acted = reference(policy) if policy is not None else None
        if policy is None and http and self.policies:
            self.because.append("no policy acts")
        if pool is None:
            return self._end("unavailable", "the listener has no default pool", status=status)
        found: dict[str, Any] = {"acted": acted, "pool": reference(pool), "pool_path": self.index.path(pool)}
        if not pool.admin_state_up:
            return self._end("unavailable", "the default pool is switched off (admin_state_up: false)", status=status, **found)
        able = picking.candidates(pool, self.listener, self.client, down=self.down)
        if not able:
            return self._end("unavailable", "no member of the pool takes clients", status=status, **found)
        picked = picking.pick(pool, self.listener, self.client, self.target, down=self.down)
        kept, before = self._kept(pool)
        return self._end(
            "pool",
            "the policy sends the request there" if policy is not None else "it is the listener's default pool",
            candidates=tuple(map(self._member, able)),
            member=None if kept or picked.member is None else self._member(picked.member),
            member_because=before if kept else f"{picked.because}{before}",
            **found,
        )

    def _kept(self, pool: Pool) -> tuple[bool, str]:
        """Session persistence comes before the algorithm: whether this client has what may bind it to a member; and what to say of that."""
        persistence = pool.session_persistence
        if persistence is None:
            return False, ""
        if persistence.type == "SOURCE_IP":
            return False, "; a client that was here before keeps its member (session_persistence: SOURCE_IP)"
        name = "SRV" if persistence.type == "HTTP_COOKIE" else persistence.cookie_name or ""
        if self.request.cookies(name):
            return True, f"the cookie {name} that the client brings may bind it to a member (session_persistence: {persistence.type})"
        return False, f"; from then on the cookie {name} binds the client to its member (session_persistence: {persistence.type})"

    def _member(self, member: Member) -> MemberSaid:
        return MemberSaid(
            object=reference(member),
            path=self.index.path(member),
            address=member.address,
            protocol_port=member.protocol_port,
            weight=member.weight,
            backup=member.backup,
        )

    def _end(self, outcome: Outcome, because: str, **found: Any) -> Where:
        return Where(
            outcome=outcome,
            listener=reference(self.listener),
            listener_path=self.index.path(self.listener),
            because=(*self.because, because),
            policies=tuple(self.policies),
            **found,
        )
