"""Texts that mean something to HAProxy, to YAML, to JSON or to a shell, or that are merely strange."""

from __future__ import annotations

from hypothesis import strategies as st

#: Pieces that have a meaning in some grammar on the way; hostile texts are made of them and of anything else.
PIECES = (
    *" \t\n\r\0\x0b\x1b\x1e\x7f\u0085\u2028\"'\\#$%{}[]()<>&|;,:=!~`*?+-./@^_aZ0é日😀\ud800",
    *("--", "-i", "-f /etc/passwd", "$HOME", "${HOME}", '"$HOME"', "%[src]", "%ci", "%%", "\\x41", "\\n", "\\\\", "\\'", "'\\''"),
    *("\n    http-request deny", "\n\nfrontend evil", " if TRUE", " || ", "{{ 7 * 7 }}", "{% raw %}", "%{+Q}o", "TLS_AES", "http://", ".."),
)

characters = st.characters(codec=None)

#: Anything at all, biased to what is dangerous. Lone surrogates are among it: JSON can spell them.
anything = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join),
    st.text(characters, max_size=30),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(characters, max_size=3)), max_size=8).map("".join),
)


def expressible(text: str) -> bool:
    """Whether a text holds nothing that a configuration cannot: no control characters, only characters that UTF-8 can write, not nothing."""
    return bool(text) and not any(char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in text)


#: What a configuration can hold as one word.
texts = anything.filter(expressible)
