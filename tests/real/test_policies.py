"""L7 policies through real HAProxy: what each action does, and which of several is the one that acts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.graphs import listener, path_is, policy, pool, rule
from support.serving import serve

from hydria.lab.backends import HttpBackend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import Serving

    from agent.haproxy import Haproxy

CODES = [301, 302, 303, 307, 308]

EVERYTHING = rule("PATH", "STARTS_WITH", "/")


@pytest.fixture(scope="module")
def serving(haproxy: Haproxy) -> Iterator[Serving]:
    with HttpBackend("default") as default, HttpBackend("one") as one, HttpBackend("two") as two:
        actions = [
            policy("REJECT", path_is("/reject")),
            policy("REDIRECT_TO_URL", path_is("/url"), redirect_url="https://elsewhere.example/new"),
            policy("REDIRECT_PREFIX", rule("PATH", "STARTS_WITH", "/prefix"), redirect_prefix="https://prefix.example:8443/base"),
            policy("REDIRECT_TO_POOL", path_is("/pool"), redirect_pool="one"),
            *(
                policy("REDIRECT_TO_URL", path_is(f"/url/{code}"), redirect_url="http://u.example/", redirect_http_code=code)
                for code in CODES
            ),
            *(
                policy("REDIRECT_PREFIX", path_is(f"/by/{code}"), redirect_prefix="http://p.example", redirect_http_code=code)
                for code in CODES
            ),
            # Whatever their order here, these act by kind of action, then by position.
            policy("REDIRECT_TO_POOL", rule("PATH", "STARTS_WITH", "/order"), redirect_pool="one", position=1),
            policy("REDIRECT_TO_URL", rule("PATH", "CONTAINS", "/redirected"), redirect_url="http://kind.example/", position=2),
            policy("REJECT", rule("PATH", "ENDS_WITH", "/rejected"), position=3),
            # Both match /place/…: the smaller position acts, though it is described later.
            policy("REDIRECT_TO_POOL", rule("PATH", "STARTS_WITH", "/place"), redirect_pool="two", position=20),
            policy("REDIRECT_TO_POOL", rule("PATH", "STARTS_WITH", "/place"), redirect_pool="one", position=10),
            policy("REDIRECT_TO_URL", rule("PATH", "STARTS_WITH", "/spot"), redirect_url="http://second.example/", position=40),
            policy("REDIRECT_PREFIX", rule("PATH", "STARTS_WITH", "/spot"), redirect_prefix="http://first.example", position=30),
            # All rules of a policy must be true; those that are switched off do not count.
            policy(
                "REDIRECT_TO_POOL", rule("PATH", "STARTS_WITH", "/and"), rule("HOST_NAME", "EQUAL_TO", "both.example"), redirect_pool="two"
            ),
            policy("REJECT", path_is("/one-rule"), path_is("/never", admin_state_up=False)),
            policy("REJECT", path_is("/no-rule", admin_state_up=False)),
            policy("REJECT"),
            policy("REJECT", path_is("/disabled"), admin_state_up=False),
            policy("REDIRECT_TO_POOL", path_is("/disabled-pool"), redirect_pool="disabled"),
        ]
        pools = [pool("default", default), pool("one", one), pool("two", two), pool("disabled", two, admin_state_up=False)]
        bare = listener("bare", None, policy("REDIRECT_TO_POOL", path_is("/pool"), redirect_pool="one"))
        disabled = listener("default-disabled", "disabled", policy("REDIRECT_TO_POOL", path_is("/pool"), redirect_pool="one"))
        with serve(haproxy, [listener("web", "default", *actions), bare, disabled], pools) as serving:
            yield serving


def test_reject_answers_403_and_no_member_sees_the_request(serving: Serving) -> None:
    answer = serving.fetch("web", "/reject")
    assert (answer.status, answer.name) == (403, None)


def test_redirect_to_url_leads_to_exactly_that_url(serving: Serving) -> None:
    answer = serving.fetch("web", "/url?x=1")
    assert (answer.status, answer.location) == (302, "https://elsewhere.example/new")


def test_redirect_prefix_puts_the_prefix_before_path_and_query(serving: Serving) -> None:
    answer = serving.fetch("web", "/prefix/a/b?x=1&y=2")
    assert (answer.status, answer.location) == (302, "https://prefix.example:8443/base/prefix/a/b?x=1&y=2")


def test_redirect_to_pool_sends_the_request_there_and_others_to_the_default_pool(serving: Serving) -> None:
    assert serving.fetch("web", "/pool").name == "one"
    assert serving.fetch("web", "/other").name == "default"


@pytest.mark.parametrize("code", CODES)
def test_each_redirect_code_is_what_the_client_gets(serving: Serving, code: int) -> None:
    by_url = serving.fetch("web", f"/url/{code}")
    by_prefix = serving.fetch("web", f"/by/{code}")
    assert (by_url.status, by_url.location) == (code, "http://u.example/")
    assert (by_prefix.status, by_prefix.location) == (code, f"http://p.example/by/{code}")


def test_kinds_of_action_act_in_their_order_whatever_the_positions(serving: Serving) -> None:
    assert serving.fetch("web", "/order").name == "one"
    assert serving.fetch("web", "/order/redirected").location == "http://kind.example/"
    assert serving.fetch("web", "/order/redirected/rejected").status == 403


def test_within_a_kind_the_smallest_position_acts(serving: Serving) -> None:
    assert serving.fetch("web", "/place").name == "one"


def test_redirects_to_urls_and_by_prefix_are_one_kind(serving: Serving) -> None:
    assert serving.fetch("web", "/spot/x").location == "http://first.example/spot/x"


def test_all_rules_of_a_policy_must_be_true(serving: Serving) -> None:
    assert serving.fetch("web", "/and", host="both.example").name == "two"
    assert serving.fetch("web", "/and", host="one.example").name == "default"
    assert serving.fetch("web", "/other", host="both.example").name == "default"


def test_a_rule_that_is_switched_off_does_not_count(serving: Serving) -> None:
    assert serving.fetch("web", "/one-rule").status == 403
    assert serving.fetch("web", "/never").name == "default"


def test_a_policy_without_enabled_rules_never_acts(serving: Serving) -> None:
    assert serving.fetch("web", "/no-rule").name == "default"


def test_a_policy_that_is_switched_off_does_not_act(serving: Serving) -> None:
    assert serving.fetch("web", "/disabled").name == "default"


def test_a_pool_that_is_switched_off_gets_nothing(serving: Serving) -> None:
    assert serving.fetch("web", "/disabled-pool").name != "two"
    assert serving.fetch("default-disabled").status == 503
    assert serving.fetch("default-disabled", "/pool").name == "one"


def test_without_a_default_pool_only_policies_lead_anywhere(serving: Serving) -> None:
    assert serving.fetch("bare", "/pool").name == "one"
    assert serving.fetch("bare", "/other").status == 503
