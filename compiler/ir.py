"""What HAProxy will hold, resolved for one target: the language between `lower` and the templates.

Rules: texts are `Word`s (finished by `quoting`), numbers are numbers, and every part keeps the graph's object that it comes from
(`node`), for the source map. No defaults are decided here and none in the templates: what is not to be written is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from compiler.graph import HealthMonitor, L7Policy, L7Rule, Listener, LoadBalancer, Member, Pool
from compiler.quoting import Word, Words


class Global(msgspec.Struct, frozen=True, kw_only=True):
    """The process (configuration manual 3). `hard_stop_after` in seconds; `redispatch`: whether the last attempt goes to another server (4.2);
    `forks`: whether checks run programs.
    """

    node: LoadBalancer
    maxconn: int
    threads: int
    stats_socket: Word
    hard_stop_after: int
    max_reloads: int
    redispatch: bool
    user: Word | None
    group: Word | None
    log: Word | None
    local_peer: Word | None
    forks: bool


class Peers(msgspec.Struct, frozen=True, kw_only=True):
    """Who shares the stick tables (3.5): both of a pair, as (name, endpoint), or a single amphora by itself at a socket: the local peer
    hands the tables from the old worker to the new one at a reload.
    """

    node: LoadBalancer
    name: Word
    local_peer: Word
    socket: Word | None
    pair: tuple[tuple[Word, Word], ...]


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """TLS of a bind or a server line (5.1, 5.2). Files are paths within the bundle."""

    certificates: Word | None
    ca_file: Word | None
    crl_file: Word | None
    verify: Word
    ciphers: Word | None
    ciphersuites: Word | None
    min_version: Word
    max_version: Word
    alpn: Word | None
    no_alpn: bool


class Acl(msgspec.Struct, frozen=True, kw_only=True):
    """A named condition (7.1). `match` is None where the fetch answers yes or no by itself; else there is a pattern, in a list (`file`) or,
    where a list cannot hold it, in `pattern`.
    """

    node: L7Rule
    name: Word
    fetch: Word
    ignore_case: bool
    match: Word | None
    file: Word | None
    pattern: Word | None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What happens when the condition, words such as `a !b`, holds. `code` and `target` belong to redirects, `target` to use_backend."""

    node: L7Policy
    acls: tuple[Acl, ...]
    condition: Word
    code: int | None = None
    target: Word | None = None


class Frontend(msgspec.Struct, frozen=True, kw_only=True):
    """A listener. Timeouts in ms. `exporter`: serves metrics, and nothing else. `requests` are the rules in order, as (kind, rule) with kind deny, location or prefix."""

    node: Listener
    name: Word
    mode: Word
    maxconn: int
    endpoints: tuple[Word, ...]
    tls: Tls | None
    allowed: Word | None
    log_format: Word | None
    hsts: Word | None
    exporter: bool
    requests: tuple[tuple[str, Rule], ...]
    use_backends: tuple[Rule, ...]
    default_backend: Word | None
    timeout_client: int
    inspect_delay: int


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A health check (4.2 http-check, external-check, 5.2 check). Times in seconds; `http` is None for a bare connection or handshake,
    `command` a program that checks instead; `unverified`: whoever answers over TLS is believed.
    """

    node: HealthMonitor
    interval: int
    timeout: int
    rise: int
    fall: int
    tls: bool
    unverified: bool
    http: HttpCheck | None
    command: Word | None


class HttpCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The request that a check sends and the answer that it expects."""

    method: Word
    uri: Word
    version: Word
    host: Word | None
    expected: Word


class Unusual(msgspec.Struct, frozen=True, kw_only=True):
    """What most servers do not have. `check_address` and `check_port` are where the member is checked, if elsewhere."""

    backup: bool
    disabled: bool
    check_address: Word | None
    check_port: int | None


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """The members, by columns: there can be hundreds of thousands, and a column costs a fraction of as many structs.

    `unusual` has an entry for each server, by its place, that is more than name, endpoint, id and weight.
    """

    nodes: tuple[Member, ...]
    names: Words
    endpoints: Words
    ids: Sequence[int]
    weights: Sequence[int]
    unusual: Mapping[int, Unusual]


class Stickiness(msgspec.Struct, frozen=True, kw_only=True):
    """A stick table (4.2 stick-table): by source address, or by the application's cookie (`store`, `match`)."""

    type: Word
    peers: Word
    store: Word | None
    match: Word | None


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """A pool as one listener uses it. Timeouts in ms. `headers` are (name, log-format) pairs to set."""

    node: Pool
    listener: Listener
    name: Word
    mode: Word
    balance: Word
    hash_type: Word | None
    hash_port: bool
    hash_key: Word | None
    stickiness: Stickiness | None
    cookie_key: Word | None
    forward_for: bool
    headers: tuple[tuple[Word, Word], ...]
    check: Check | None
    proxy_protocol: Word | None
    tls: Tls | None
    all_backups: bool
    timeout_connect: int
    timeout_server: int
    servers: Servers


class Exporter(msgspec.Struct, frozen=True, kw_only=True):
    """HAProxy's metrics, at the socket `metrics`; the agent asks for them there, and answers with Octavia's names for them at `translator`."""

    node: Listener
    metrics: Word
    translator: Word


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """One HAProxy."""

    process: Global
    peers: Peers | None
    exporter: Exporter | None
    frontends: tuple[Frontend, ...]
    backends: tuple[Backend, ...]
