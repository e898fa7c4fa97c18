"""`load`: the forms of a document it takes, and for everything wrong with one a problem with its path, line and column."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
import yaml

import compiler
from compiler import ProblemError, text_bounds
from compiler.graph import LoadBalancer

#: Stands in a text before the place that a problem must be told at; several, one after another.
MARK = "‸"

UUID = "6f1f4c3e-0d5e-4b0f-9c53-2f1d8f0f7a11"


def refused(text: str | bytes) -> tuple[compiler.Problem, ...]:
    with pytest.raises(ProblemError) as caught:
        compiler.load(text)
    return caught.value.problems


def marks(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without its marks, and where they were, as (line, column)."""
    places = []
    while MARK in text:
        before, _, after = text.partition(MARK)
        places.append((before.count("\n") + 1, len(before) - before.rfind("\n")))
        text = before + after
    return text, places


def assert_told(marked: str, *expected: tuple[str, str]) -> tuple[compiler.Problem, ...]:
    """The problems are these (path, code), each at its mark, and no others."""
    text, places = marks(marked)
    assert len(places) == len(expected), "as many marks as problems"
    problems = refused(text)
    told = [(problem.path, problem.code, (problem.line, problem.column)) for problem in problems]
    assert sorted(told) == sorted((path, code, place) for (path, code), place in zip(expected, places, strict=True))
    assert all(problem.message for problem in problems)
    return problems


WRONG_FIELDS: dict[str, tuple[str, str, str]] = {
    # what is wrong: (field: value, code, what the message must hold)
    "unknown field": ("connektion_limit: 5", "unknown-field", "connektion_limit"),
    "text for a number": ("connection_limit: lots", "wrong-type", "a whole number"),
    "fraction for a whole number": ("connection_limit: 1.5", "wrong-type", "a whole number"),
    "boolean for a number": ("connection_limit: true", "wrong-type", "a whole number"),
    "too small a number": ("connection_limit: -2", "invalid-value", "from -1 to 2147483647"),
    "too large a number": ("connection_limit: 2147483648", "invalid-value", "from -1 to 2147483647"),
    "number far too large": (f"connection_limit: {10**300}", "invalid-value", "from -1 to 2147483647"),
    "infinity": ("connection_limit: 1e999", "wrong-type", "a whole number"),
    "too long a timeout": ("timeout_client_data: 31536000001", "invalid-value", "from 0 to 31536000000"),
    "no word of the list": ("client_authentication: SOMETIMES", "invalid-value", "NONE, OPTIONAL, MANDATORY"),
    "number for a word": ("client_authentication: 5", "wrong-type", "NONE, OPTIONAL, MANDATORY"),
    "text for a boolean": ("admin_state_up: enabled", "wrong-type", "true or false"),
    "number for a boolean": ("admin_state_up: 1", "wrong-type", "true or false"),
    "number for a text": ("name: 5", "wrong-type", "a text"),
    "list for a text": ("name: [a]", "wrong-type", "a text"),
    "mapping for a text": ("description: {a: b}", "wrong-type", "a text"),
    "text for a list": ("l7policies: none", "wrong-type", "a list"),
    "text for a list of words": ("sni_container_refs: one", "wrong-type", "a list of a text"),
    "text for an object": ("default_pool: web", "wrong-type", "a mapping of fields"),
    "list for a mapping": ("insert_headers: [X-Forwarded-For]", "wrong-type", "a mapping of names"),
    "no UUID": ("id: web", "invalid-value", "a UUID"),
    "no UUID in a reference": ("default_pool_id: web", "invalid-value", "a UUID"),
    "a UUID and more": (f'id: "{UUID}\\n"', "invalid-value", "a UUID"),
}


class TestSingleFields:
    @pytest.mark.parametrize("case", WRONG_FIELDS, ids=lambda case: case.replace(" ", "-"))
    def test_in_yaml(self, case: str) -> None:
        field, code, said = WRONG_FIELDS[case]
        text = (
            f"loadbalancer:\n  vip_address: 192.0.2.1\n  listeners:\n    - protocol: HTTP\n      protocol_port: 80\n      {MARK}{field}\n"
        )
        (problem,) = assert_told(text, (f"loadbalancer.listeners[0].{field.partition(':')[0]}", code))
        assert said in problem.message
        assert problem.object is not None
        assert problem.object.type == "listener"

    @pytest.mark.parametrize("case", WRONG_FIELDS, ids=lambda case: case.replace(" ", "-"))
    def test_in_json(self, case: str) -> None:
        field, code, said = WRONG_FIELDS[case]
        name = field.partition(":")[0]
        value = json.dumps(yaml.safe_load(field)[name]) if "1e999" not in field else "1e999"
        listener = f'{{"protocol": "HTTP", "protocol_port": 80,\n  {MARK}"{name}": {value}}}'
        text = f'{{"loadbalancer": {{"vip_address": "192.0.2.1", "listeners": [{listener}]}}}}'
        if value == "1e999":  # not a number that JSON's reader holds
            assert [problem.code for problem in refused(marks(text)[0])] == ["syntax"]
            return
        (problem,) = assert_told(text, (f"loadbalancer.listeners[0].{name}", code))
        assert said in problem.message

    def test_a_missing_field_is_told_at_its_object(self) -> None:
        assert_told(
            f"loadbalancer:\n  vip_address: 192.0.2.1\n  listeners:\n    - {MARK}protocol: HTTP\n",
            ("loadbalancer.listeners[0].protocol_port", "missing-field"),
        )

    def test_a_missing_address_of_the_load_balancer(self) -> None:
        assert_told(f"{MARK}loadbalancer:\n  name: web\n", ("loadbalancer.vip_address", "missing-field"))

    def test_the_object_is_named_by_its_id_and_name(self) -> None:
        (problem,) = refused(f"vip_address: 192.0.2.1\npools: [{{id: {UUID}, name: web, protocol: GOPHER}}]")
        assert problem.object == compiler.ObjectRef("pool", UUID, "web")

    def test_what_is_wrong_inside_session_persistence_belongs_to_the_pool(self) -> None:
        (problem,) = refused("vip_address: 192.0.2.1\npools: [{name: web, session_persistence: {type: MAGIC}}]")
        assert problem.path == "loadbalancer.pools[0].session_persistence.type"
        assert problem.object == compiler.ObjectRef("pool", "", "web")

    def test_a_word_in_other_letters_and_a_field_in_other_letters_get_a_hint(self) -> None:
        (word,) = refused("vip_address: 192.0.2.1\nlisteners: [{protocol: http, protocol_port: 80}]")
        (field,) = refused("vip_address: 192.0.2.1\nlisteners: [{protocol: HTTP, protocol_port: 80, defaultpool: {}}]")
        assert word.hint == "did you mean 'HTTP'?"
        assert field.hint == "did you mean 'default_pool'?"

    def test_a_long_value_is_not_quoted_whole(self) -> None:
        (problem,) = refused(json.dumps({"vip_address": "192.0.2.1", "admin_state_up": "x" * 10_000}))
        assert len(problem.message) < 200


class TestSeveral:
    TEXT = f"""\
loadbalancer:
  vip_address: 192.0.2.1
  {MARK}vip_colour: blue
  listeners:
    - protocol: HTTP
      {MARK}protocol_port: 0
      l7policies:
        - {MARK}rules:
            - {MARK}type: PATH
              compare_type: EQUAL_TO
              {MARK}invert: maybe
    - protocol: HTTP
      protocol_port: 81
      default_pool:
        members:
          - {{address: 192.0.2.2, {MARK}protocol_port: 65536, {MARK}weight: 257}}
        healthmonitor: {{type: TCP, delay: 5, timeout: 3, {MARK}max_retries: 11}}
{MARK}version: 2
"""
    EXPECTED = (
        ("loadbalancer.vip_colour", "unknown-field"),
        ("loadbalancer.listeners[0].protocol_port", "invalid-value"),
        ("loadbalancer.listeners[0].l7policies[0].action", "missing-field"),
        ("loadbalancer.listeners[0].l7policies[0].rules[0].value", "missing-field"),
        ("loadbalancer.listeners[0].l7policies[0].rules[0].invert", "wrong-type"),
        ("loadbalancer.listeners[1].default_pool.members[0].protocol_port", "invalid-value"),
        ("loadbalancer.listeners[1].default_pool.members[0].weight", "invalid-value"),
        ("loadbalancer.listeners[1].default_pool.healthmonitor.max_retries", "invalid-value"),
        ("version", "unknown-field"),
    )

    def test_everything_is_told_at_once(self) -> None:
        assert_told(self.TEXT, *self.EXPECTED)

    def test_json_tells_the_same(self) -> None:
        document = yaml.safe_load(self.TEXT.replace(MARK, ""))
        for indent in (None, 1):
            told = {(problem.path, problem.code) for problem in refused(json.dumps(document, indent=indent))}
            assert told == set(self.EXPECTED)

    def test_the_error_itself_shows_every_problem(self) -> None:
        with pytest.raises(ProblemError) as caught:
            compiler.load(self.TEXT.replace(MARK, ""))
        assert str(caught.value).count("\n") == len(self.EXPECTED) - 1
        assert "6:7: error: loadbalancer.listeners[0].protocol_port: 0 given; allowed: a whole number from 1 to 65535" in str(caught.value)


GRAPH: dict[str, Any] = {
    "name": "web",
    "vip_address": "192.0.2.1",
    "listeners": [{"protocol": "HTTP", "protocol_port": 80, "default_pool": {"name": "a"}}],
    "pools": [{"name": "a", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"}],
}


class TestForms:
    @pytest.mark.parametrize("wrapped", [True, False])
    @pytest.mark.parametrize("render", [json.dumps, yaml.safe_dump, lambda data: "\n\t  " + json.dumps(data, indent=2)])
    def test_wrapped_or_alone_as_json_or_yaml(self, wrapped: bool, render: Any) -> None:
        text = render({"loadbalancer": GRAPH} if wrapped else GRAPH)
        expected = compiler.load(json.dumps(GRAPH))
        assert compiler.load(text) == expected
        assert compiler.load(text.encode()) == expected
        assert expected.listeners[0].connection_limit == -1

    def test_a_problem_of_the_inside_alone_has_the_whole_path_and_its_place(self) -> None:
        assert_told(
            f"vip_address: 192.0.2.1\nlisteners:\n  - protocol: HTTP\n    {MARK}protocol_port: 0\n",
            ("loadbalancer.listeners[0].protocol_port", "invalid-value"),
        )
        assert_told(
            f'{{"vip_address": "192.0.2.1",\n "listeners": [{{"protocol": "HTTP", {MARK}"protocol_port": 0}}]}}',
            ("loadbalancer.listeners[0].protocol_port", "invalid-value"),
        )

    def test_null_stands_for_the_default(self) -> None:
        nulls = {"name": None, "admin_state_up": None, "pools": None, "description": None, "tags": None, "vip_port_id": None}
        listener = {"protocol": "HTTP", "protocol_port": 80, "connection_limit": None, "insert_headers": None, "l7policies": None}
        listener |= {"timeout_client_data": None, "client_authentication": None, "allowed_cidrs": None, "default_pool": None}
        plain = {"vip_address": "192.0.2.1", "listeners": [{"protocol": "HTTP", "protocol_port": 80}]}
        full = {**plain, **nulls, "listeners": [listener]}
        assert compiler.load(json.dumps(full)) == compiler.load(yaml.safe_dump(full)) == compiler.load(json.dumps(plain))

    def test_null_does_not_stand_for_a_field_that_is_needed(self) -> None:
        (problem,) = refused('{"vip_address": null, "name": "web"}')
        assert (problem.path, problem.code) == ("loadbalancer.vip_address", "missing-field")

    @pytest.mark.parametrize(
        "text", ["", "   ", "null", "5", "[]", "[1, 2]", "{}", '"x"', "a: b", '{"listener": {}}', "loadbalancer:", "# only a comment\n"]
    )
    def test_what_is_no_load_balancer(self, text: str) -> None:
        assert [problem.code for problem in refused(text)] == ["not-a-load-balancer"]

    def test_something_beside_the_load_balancer(self) -> None:
        (problem,) = assert_told(f"loadbalancer: {{vip_address: 192.0.2.1}}\n{MARK}loadbalancers: []\n", ("loadbalancers", "unknown-field"))
        assert problem.hint == "did you mean 'loadbalancer'?"

    def test_what_the_api_shows_is_carried_along(self) -> None:
        shown = {
            **GRAPH,
            "provisioning_status": "ACTIVE",
            "created_at": "2026-01-01T00:00:00",
            "tags": ["a"],
            "project_id": "p",
            "flavor_id": None,
        }
        graph = compiler.load(json.dumps(shown))
        assert (graph.provisioning_status, graph.created_at, graph.tags) == ("ACTIVE", "2026-01-01T00:00:00", ("a",))
        assert compiler.load(yaml.safe_dump(shown)).created_at == "2026-01-01T00:00:00"

    def test_a_yaml_timestamp_stays_text(self) -> None:
        assert compiler.load("vip_address: 192.0.2.1\ncreated_at: 2026-01-01T00:00:00").created_at == "2026-01-01T00:00:00"

    def test_a_byte_order_mark(self) -> None:
        for text in (json.dumps(GRAPH), yaml.safe_dump(GRAPH)):
            assert compiler.load(b"\xef\xbb\xbf" + text.encode()) == compiler.load(text)


def nested(levels: int, opening: str, closing: str, inside: str = "") -> str:
    return opening * levels + inside + closing * levels


class TestHostileText:
    @pytest.mark.parametrize(
        ("text", "code"),
        [
            pytest.param(nested(100_000, "[", "]"), "too-large", id="brackets"),
            pytest.param(nested(100_000, '{"a":', "}", "1"), "too-large", id="braces"),
            pytest.param("[" * 100_000, "too-large", id="brackets that stay open"),
            pytest.param('{"loadbalancer": ' + nested(100_000, "[", "]") + "}", "too-large", id="brackets inside"),
            pytest.param("---\n" + nested(100_000, "[", "]"), "too-large", id="YAML in flow style"),
            pytest.param("---\n" + nested(100_000, "{a: ", "}", "1"), "too-large", id="YAML mappings in flow style"),
            pytest.param("---\n" + "- " * 100_000, "too-large", id="YAML in block style"),
            pytest.param("\n".join(" " * level + "a:" for level in range(2000)), "too-large", id="YAML mappings in block style"),
            pytest.param("? " * 5000, "too-large", id="YAML keys in keys"),
        ],
    )
    def test_deep_nesting_is_refused_and_harms_nobody(self, text: str, code: str) -> None:
        assert [problem.code for problem in refused(text)] == [code]

    def test_the_limit_of_depth_is_told_with_its_place(self) -> None:
        fits, too_deep = text_bounds.DEPTH_LIMIT - 1, text_bounds.DEPTH_LIMIT
        prefix = "vip_address: 192.0.2.1\ncreated_at: "
        assert compiler.load(prefix + nested(fits, "[", "]")).created_at
        assert_told(prefix + "[" * fits + f"{MARK}[" + "]" * too_deep, ("", "too-large"))

    def test_aliases_that_multiply(self) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
        problems = refused("\n".join(lines))
        assert [problem.code for problem in problems] == ["too-large"]
        assert problems[0].line == 7

    def test_an_alias_of_what_it_is_in(self) -> None:
        assert_told(f"vip_address: &a\n  - {MARK}*a\n", ("", "syntax"))

    def test_an_alias_of_nothing(self) -> None:
        (problem,) = assert_told(f"vip_address: {MARK}*nobody\n", ("", "syntax"))
        assert "nobody" in problem.message

    def test_aliases_and_merge_keys_that_mean_well(self) -> None:
        text = """
loadbalancer:
  vip_address: 192.0.2.1
  pools:
    - &web {name: a, protocol: HTTP, lb_algorithm: ROUND_ROBIN, members: &members [{address: 192.0.2.2, protocol_port: 80}]}
    - <<: *web
      name: b
    - {name: c, <<: [{lb_algorithm: SOURCE_IP}, *web]}
    - {name: d, protocol: TCP, lb_algorithm: SOURCE_IP, members: *members}
"""
        graph = compiler.load(text)
        assert [(pool.name, pool.protocol, pool.lb_algorithm, len(pool.members)) for pool in graph.pools] == [
            ("a", "HTTP", "ROUND_ROBIN", 1),
            ("b", "HTTP", "ROUND_ROBIN", 1),
            ("c", "HTTP", "SOURCE_IP", 1),
            ("d", "TCP", "SOURCE_IP", 1),
        ]

    def test_what_is_given_beats_what_is_merged_whichever_stands_first(self) -> None:
        for fields in ("name: mine, <<: {name: theirs}", "<<: {name: theirs}, name: mine"):
            assert compiler.load(f"--- {{vip_address: 192.0.2.1, {fields}}}").name == "mine"

    @pytest.mark.parametrize("value", ["5", "[5]", "[[{a: b}]]", "null"])
    def test_a_merge_of_what_is_no_mapping(self, value: str) -> None:
        assert [problem.code for problem in refused(f"vip_address: 192.0.2.1\n<<: {value}\n")] == ["syntax"]

    def test_of_very_many_problems_the_first_are_told(self) -> None:
        members = ["{address: 192.0.2.1, protocol_port: 0}"] * 5000
        problems = refused(f"vip_address: 192.0.2.1\npools: [{{protocol: HTTP, members: [{', '.join(members)}]}}]")
        assert {problem.code for problem in problems[:-1]} == {"invalid-value"}
        assert (problems[-1].code, problems[-1].path) == ("too-many-problems", "loadbalancer.pools[0].members[1000].protocol_port")
        assert len(problems) == 1001

    def test_of_very_many_unknown_fields_the_first_are_told(self) -> None:
        problems = refused("vip_address: 192.0.2.1\n" + "".join(f"unknown{n}: 1\n" for n in range(5000)))
        assert len(problems) == 1001

    @pytest.mark.parametrize("data", [b"a: b\n" * 20_000_000, b'{"a": "' + b"x" * 100_000_000], ids=["YAML", "JSON"])
    def test_a_hundred_megabytes_are_refused(self, data: bytes) -> None:
        assert [problem.code for problem in refused(data)] in (["too-large"], ["syntax"])

    @pytest.mark.parametrize("item", [b"[],", b"{},", b"1e9,1e9,"], ids=["lists", "mappings", "numbers"])
    @pytest.mark.parametrize("field", ["unknown", "created_at", "listeners"])
    def test_more_values_than_memory_is_meant_for_are_refused_unread(self, field: str, item: bytes) -> None:
        """JSON of 64 MiB could otherwise become 1.5 GB of empty lists, in a field that takes anything too."""
        data = b'{"loadbalancer": {"vip_address": "192.0.2.1", "%s": [' % field.encode() + item * 2_900_000 + b"0]}}"
        (problem,) = refused(data)
        assert problem.code == "too-large"
        assert "5000000 values" in problem.message

    def test_a_field_given_twice_in_yaml(self) -> None:
        assert_told(f"vip_address: 192.0.2.1\nname: a\n{MARK}name: b\n", ("", "duplicate-field"))

    @pytest.mark.parametrize("more", ["", ', "description": null, "admin_state_up": null'], ids=["fast way", "slow way"])
    def test_of_a_field_given_twice_in_json_the_last_counts(self, more: str) -> None:
        graph = compiler.load('{"loadbalancer": {"vip_address": "192.0.2.1", "name": "a", "name": "b"' + more + "}}")
        assert graph.name == "b"

    @pytest.mark.parametrize(
        "tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!!binary", "!mine", "!!set", "!!omap", "!<x>"]
    )
    @pytest.mark.parametrize("form", ["vip_address: {mark}{tag} YQ==", "{mark}{tag} {{a: b}}", "vip_address: {mark}{tag} [a]"])
    def test_a_tag_that_is_not_plain(self, tag: str, form: str) -> None:
        text, places = marks(form.format(mark=MARK, tag=tag))
        (problem,) = refused(text)
        assert (problem.code, (problem.line, problem.column)) == ("syntax", places[0])

    @pytest.mark.parametrize(
        "value",
        [
            "!!int x",
            "!!int ''",
            "!!int _",
            "!!float x",
            "!!float ''",
            "!!bool x",
            "!!bool ''",
            "!!seq x",
            "!!map x",
            "!!set x",
            "!!pairs x",
        ],
    )
    def test_a_value_that_is_not_what_its_tag_says(self, value: str) -> None:
        assert_told(f"vip_address: {MARK}{value}\n", ("", "syntax"))

    @pytest.mark.parametrize("value", ["!!str 5", "! x"])
    def test_a_tag_that_is(self, value: str) -> None:
        assert isinstance(compiler.load(f"vip_address: {value}"), LoadBalancer)

    def test_numbers_of_any_length(self) -> None:
        digits = "9" * (sys.get_int_max_str_digits() + 1)
        for text in (f"vip_address: 192.0.2.1\nconnection_limit: {digits}", f'{{"vip_address": "192.0.2.1", "name": {digits}}}'):
            assert refused(text)[0].code in ("syntax", "wrong-type", "unknown-field")

    def test_two_documents(self) -> None:
        assert_told(f"vip_address: 192.0.2.1\n{MARK}---\nvip_address: 192.0.2.2\n", ("", "syntax"))

    @pytest.mark.parametrize("key", ["[a]", "{a: b}", "? [a]\n", "*a"])
    def test_a_key_that_is_no_word(self, key: str) -> None:
        text = f"vip_address: &a [x]\n{key} : 1\n" if not key.startswith("?") else f"{key}: 1\n"
        assert [problem.code for problem in refused(text)] == ["syntax"]

    def test_keys_that_are_numbers_or_nothing(self) -> None:
        assert [problem.path for problem in refused("vip_address: 192.0.2.1\n5: a\nnull: b\n1.5: c\n")] == [
            "loadbalancer.5",
            "loadbalancer.None",
            "loadbalancer.1.5",
        ]

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ('{"vip_address": }', 1),
            ('{"vip_address": "192.0.2.1",\n "name": "a" "b"}', 2),
            ('{"vip_address": "192.0.2.1"', 1),
            ('{"vip_address": "192.0.2.1"}}', 1),
            ('{"a":\n\n\n x}', 4),
            ("vip_address: [1, 2\nname: x", 2),
            ("vip_address: 192.0.2.1\n name: x", 2),
            ("vip_address: 192.0.2.1\n\tname: x", 2),
            ("vip_address: 'x", 1),
            ("@", 1),
        ],
    )
    def test_what_does_not_parse_is_told_with_its_place(self, text: str, line: int) -> None:
        (problem,) = refused(text)
        assert (problem.code, problem.line) == ("syntax", line)
        assert problem.column is not None

    @pytest.mark.parametrize("data", [b'{"vip_address": "\xff"}', b"vip_address: \xff", b"\x00", b"a: \x07", b"\xff\xfe\x00"])
    def test_bytes_that_are_no_text(self, data: bytes) -> None:
        assert [problem.code for problem in refused(data)] == ["syntax"]

    def test_too_much_yaml(self) -> None:
        (problem,) = refused(b"# " + b"x" * text_bounds.YAML_LIMIT)
        assert problem.code == "too-large"
        assert "JSON" in problem.message


class TestLocate:
    def test_problems_of_a_build_get_their_places(self) -> None:
        text, places = marks(
            f"loadbalancer:\n  vip_address: 192.0.2.1\n  listeners:\n    - protocol: HTTP\n      protocol_port: 80\n      {MARK}connection_limit: 0\n"
        )
        problems = compiler.locate(text, compiler.build(compiler.load(text)).problems)
        assert [(problem.path, (problem.line, problem.column)) for problem in problems] == [
            ("loadbalancer.listeners[0].connection_limit", places[0])
        ]

    def test_a_path_that_is_not_in_the_text_is_told_at_what_is_around_it(self) -> None:
        text, places = marks(f'{{"loadbalancer": {{"vip_address": "192.0.2.1",\n "listeners": [1, {MARK}{{"protocol": "TCP"}}]}}}}')
        problem = compiler.Problem(path="loadbalancer.listeners[1].l7policies[3].name", code="syntax", message="x")
        (located,) = compiler.locate(text, [problem])
        assert (located.line, located.column) == places[0]

    def test_keys_written_with_escapes_are_found(self) -> None:
        text, places = marks(f'{{"vip_address": "192.0.2.1",\n {MARK}"n\\u0061me": "a\\"b[{{"}}')
        (located,) = compiler.locate(text, [compiler.Problem(path="loadbalancer.name", code="syntax", message="x")])
        assert (located.line, located.column) == places[0]

    def test_a_problem_that_has_a_place_keeps_it(self) -> None:
        problem = compiler.Problem(path="loadbalancer.vip_address", code="syntax", message="x", line=7, column=8)
        assert compiler.locate("vip_address: 192.0.2.1", [problem]) == [problem]

    def test_a_problem_without_a_path_stays_without_a_place(self) -> None:
        problem = compiler.Problem(code="syntax", message="x")
        assert compiler.locate("vip_address: 192.0.2.1", [problem]) == [problem]
