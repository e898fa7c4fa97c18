"""What a `server` line says of its server, with what `default-server` lines before it said of all (configuration manual 5.2).

Only what is known here is understood: how many words an option takes, and which other one it takes back. Everything else is
`UnknownOption`, which makes a server comparable with itself only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

#: Option → the words that follow it.
Options = dict[str, tuple[str, ...]]

#: Options that stand alone.
_FLAGS = frozenset(
    (
        *(
            "allow-0rtt",
            "agent-check",
            "backup",
            "check",
            "check-reuse-pool",
            "check-send-proxy",
            "check-ssl",
            "check-via-socks4",
            "disabled",
        ),
        *("force-sslv3", "force-tlsv10", "force-tlsv11", "force-tlsv12", "force-tlsv13", "no-ssl-reuse", "no-sslv3", "no-tls-tickets"),
        *("no-tlsv10", "no-tlsv11", "no-tlsv12", "no-tlsv13", "non-stick", "send-proxy", "send-proxy-v2", "send-proxy-v2-ssl"),
        *("send-proxy-v2-ssl-cn", "ssl", "strict-maxconn", "tfo"),
    )
)
#: Options that one word follows.
_VALUES = frozenset(
    (
        *("addr", "agent-addr", "agent-inter", "agent-port", "agent-send", "alpn", "ca-file", "check-alpn", "check-pool-conn-name"),
        *("check-proto", "check-sni", "ciphers", "ciphersuites", "client-sigalgs", "cookie", "crl-file", "crt", "curves", "downinter"),
        *("error-limit", "fall", "fastinter", "guid", "hash-key", "id", "idle-ping", "init-addr", "init-state", "inter", "log-bufsize"),
        *("log-proto", "max-reuse", "maxconn", "maxqueue", "minconn", "namespace", "npn", "observe", "on-error", "on-marked-down"),
        *("on-marked-up", "pool-conn-name", "pool-low-conn", "pool-max-conn", "pool-purge-delay", "port", "proto", "proxy-v2-options"),
        *("redir", "resolve-net", "resolve-opts", "resolve-prefer", "resolvers", "rise", "shard", "sigalgs", "slowstart", "sni", "socks4"),
        *("ssl-max-ver", "ssl-min-ver", "track", "verify", "verifyhost", "weight", "ws"),
    )
)
#: Option → the one that it takes back.
_TAKES_BACK = {
    "enabled": "disabled",
    "ssl-reuse": "no-ssl-reuse",
    "stick": "non-stick",
    "tls-tickets": "no-tls-tickets",
    **{
        f"no-{name}": name
        for name in (
            *("agent-check", "backup", "check", "check-send-proxy", "check-ssl", "send-proxy", "send-proxy-v2", "send-proxy-v2-ssl"),
            *("send-proxy-v2-ssl-cn", "ssl", "tfo"),
        )
    },
}


class UnknownOption(ValueError):  # noqa: N818  (says what was met)
    """What an option means, or where it ends, is not known here; the message is its name."""


def options(defaults: Sequence[str], own: Sequence[str]) -> Options:
    """What holds for a server whose line has the options `own`, behind `default-server` lines with `defaults`. Raises UnknownOption."""
    found: Options = {}
    for words in (defaults, own):
        rest = iter(words)
        for word in rest:
            if word in _TAKES_BACK:
                found.pop(_TAKES_BACK[word], None)
            else:
                found.pop(word, None)  # the later one stands last, as it does in a line that says it once
                found[word] = _following(word, rest)
    return found


def _following(word: str, rest: Iterator[str]) -> tuple[str, ...]:
    if word in _FLAGS:
        return ()
    if word not in _VALUES:
        raise UnknownOption(word)
    value = next(rest, None)
    if value is None:
        raise UnknownOption(f"{word} without a value")
    return (value,)
