"""Random L7 policies and rules, valid by construction."""

from __future__ import annotations

import hostile
from graph_parts import Part, mostly, names, optional, reference, tokens
from hypothesis import strategies as st

_KEYED = {"HEADER": tokens, "COOKIE": tokens, "SSL_DN_FIELD": st.sampled_from(["CN", "O", "OU"])}


def rules(kinds: tuple[str, ...]) -> st.SearchStrategy[Part]:
    @st.composite
    def build(draw: st.DrawFn) -> Part:
        kind = draw(st.sampled_from(kinds))
        compare = draw(st.sampled_from(["STARTS_WITH", "ENDS_WITH", "CONTAINS", "EQUAL_TO", "REGEX"]))
        value = draw(hostile.texts)
        if kind == "FILE_TYPE":
            compare = "EQUAL_TO"
        elif kind.startswith("SSL_") and kind != "SSL_DN_FIELD":
            compare, value = "EQUAL_TO", "True" if kind == "SSL_CONN_HAS_CERT" else str(draw(st.integers(0, 99999)))
        if compare == "REGEX":
            value = draw(st.sampled_from([r"^/a(b|c)\d{2}[^'\"#$]+$", ".*", r"\\'", "a b  c", "%[src] $HOME"]))
        rule: Part = {"type": kind, "compare_type": compare, "value": value, "invert": draw(st.booleans()), "admin_state_up": draw(mostly)}
        if kind in _KEYED:
            rule["key"] = draw(_KEYED[kind])
        return rule

    return build()


_urls = hostile.texts.filter(lambda text: " " not in text).map(lambda text: f"https://host.example/{text}")


def policies(pools: list[Part], kinds: tuple[str, ...]) -> st.SearchStrategy[Part]:
    @st.composite
    def build(draw: st.DrawFn) -> Part:
        actions = ["REJECT", "REDIRECT_TO_URL", "REDIRECT_PREFIX", *(["REDIRECT_TO_POOL"] if pools else [])]
        action = draw(st.sampled_from(actions))
        policy: Part = {
            "action": action,
            "name": draw(names),
            "position": draw(optional(st.integers(1, 2**31 - 1))),
            "rules": draw(st.lists(rules(kinds), min_size=1, max_size=3)),
            "admin_state_up": draw(mostly),
        }
        if action == "REDIRECT_TO_POOL":
            policy |= reference("redirect_pool", draw(st.sampled_from(pools)))
        elif action != "REJECT":
            policy["redirect_url" if action == "REDIRECT_TO_URL" else "redirect_prefix"] = draw(_urls)
            policy["redirect_http_code"] = draw(optional(st.sampled_from([301, 302, 303, 307, 308])))
        return policy

    return build()
