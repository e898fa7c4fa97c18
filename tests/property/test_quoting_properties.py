"""Whatever text goes into a configuration, HAProxy reads back exactly this text: one word, no more, no less."""

from __future__ import annotations

import haproxy_words
import hostile
import other_words
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from compiler import quoting

TOKEN = "".join(chr(code) for code in range(33, 127) if chr(code) not in '"(),/:;<=>?@[\\]{}')
tokens = st.text(st.sampled_from(TOKEN), min_size=1, max_size=20)


@given(hostile.texts)
@example("'")
@example("\\")
@example("$HOME")
@example("#")
def test_a_word_is_read_as_the_text_it_was_made_of(text: str) -> None:
    assert haproxy_words.words(quoting.word(text)) == [text]


@given(hostile.texts)
@example("#")
@example("a ")
def test_a_pattern_is_read_as_the_text_it_was_made_of(text: str) -> None:
    if text.startswith(" "):
        with pytest.raises(quoting.Inexpressible):
            quoting.pattern(text)
    else:
        assert other_words.patterns(quoting.pattern(text)) == [text]


@given(hostile.texts, hostile.texts, hostile.texts)
def test_words_in_a_line_stay_apart(first: str, second: str, third: str) -> None:
    line = quoting.line(quoting.word(first), quoting.word(second), quoting.word(third))
    assert haproxy_words.words(f"    acl x {line}") == ["acl", "x", first, second, third]


@given(hostile.anything)
def test_a_word_is_refused_exactly_when_a_reason_is_given(text: str) -> None:
    if quoting.reason_against(text) is None:
        assert haproxy_words.words(quoting.word(text)) == [text]
        assert hostile.expressible(text)
    else:
        assert not hostile.expressible(text)
        with pytest.raises(quoting.Inexpressible):
            quoting.word(text)


@given(hostile.texts)
@example("%")
@example("100%")
@example("%[src]")
def test_a_log_format_word_is_read_as_the_text_it_was_made_of(text: str) -> None:
    (word,) = haproxy_words.words(quoting.log_format(text))
    assert haproxy_words.log_format(word) == text


@given(st.sampled_from(["req.hdr", "req.cook", "res.cook", "ssl_c_s_dn"]), tokens)
@example("req.hdr", "'")
@example("req.cook", "a#$%'b")
def test_the_argument_of_a_fetch_is_read_as_the_name_it_was_made_of(name: str, argument: str) -> None:
    (word,) = haproxy_words.words(quoting.fetch(name, argument))
    assert haproxy_words.fetch(word) == (name, [argument])


@given(hostile.anything)
def test_a_fetch_takes_http_tokens_and_nothing_else(text: str) -> None:
    is_token = bool(text) and set(text) <= set(TOKEN)
    assert quoting.is_http_token(text) == is_token
    if not is_token:
        with pytest.raises(quoting.Inexpressible):
            quoting.fetch("req.hdr", text)


@given(hostile.anything)
def test_keywords_paths_and_addresses_take_no_text_that_needs_quotes(text: str) -> None:
    for function in (quoting.keyword, quoting.path, quoting.address, quoting.negated):
        try:
            word = function(text)
        except quoting.Inexpressible:
            continue
        assert haproxy_words.words(word) == [f"!{text}" if function is quoting.negated else text]
