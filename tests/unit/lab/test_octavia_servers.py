"""Servers that a lab of Octavia's is given: how they are named, and where they are in the lab."""

from __future__ import annotations

import pytest

from agent.errors import InvalidRequest
from hydria.lab.octavia_servers import OWN, Address, Route, Servers, servers, shown, user_and_password


def test_nothing_is_named() -> None:
    assert servers(None, None, None) == OWN
    assert (OWN.addresses, OWN.drivers, OWN.in_the_lab) == ((), (), OWN)


@pytest.mark.parametrize(
    ("url", "address", "there", "module"),
    [
        ("postgresql://u:p@db.example/n", Address("db.example", 5432), "postgresql+psycopg2://u:p@127.0.0.1:20001/n", "psycopg2"),
        ("postgresql://u@[2001:db8::7]:99/n", Address("2001:db8::7", 99), "postgresql+psycopg2://u@127.0.0.1:20001/n", "psycopg2"),
        (
            "postgresql://u@/n?host=/run/postgresql&sslmode=disable",
            Address("", 0, "/run/postgresql/.s.PGSQL.5432"),
            "postgresql+psycopg2://u@127.0.0.1:20001/n?sslmode=disable",
            "psycopg2",
        ),
        (
            "mysql://u:a%40b@h:33/n?charset=utf8mb4",
            Address("h", 33),
            "mysql+pymysql://u:a%40b@127.0.0.1:20001/n?charset=utf8mb4",
            "pymysql",
        ),
        ("mariadb://u@/n?unix_socket=/run/m.sock", Address("", 0, "/run/m.sock"), "mysql+pymysql://u@127.0.0.1:20001/n", "pymysql"),
    ],
)
def test_a_database_is_reached_by_a_port_of_the_hypervisors(url: str, address: Address, there: str, module: str) -> None:
    named = servers(url, None, None)
    assert named.addresses == (address,)
    assert named.in_the_lab == Servers(db=there)
    assert [driver.module for driver in named.drivers] == [module]


def test_each_address_has_a_port_and_one_that_is_named_twice_has_one() -> None:
    named = servers("mysql://u@one:1/n", "rabbit://u:p@one:1,u:p@two,u:p@[::1]:3/v", "redis://one:1/2")
    assert named.ports == {Address("one", 1): 20001, Address("two", 5672): 20002, Address("::1", 3): 20003}
    assert named.in_the_lab == Servers(
        db="mysql+pymysql://u@127.0.0.1:20001/n",
        transport="rabbit://u:p@127.0.0.1:20001,u:p@127.0.0.1:20002,u:p@127.0.0.1:20003/v",
        jobboard="redis://127.0.0.1:20001/2",
    )


@pytest.mark.parametrize(
    ("db", "transport", "jobboard", "said"),
    [
        ("sqlite:///x", None, None, "--db wants a URL that begins with postgresql or"),
        ("postgresql://h", None, None, "names no database"),
        ("postgresql://u:secret@h/", None, None, "names no database"),
        ("postgresql:///n", None, None, "which server is meant"),
        ("mysql://u:secret@h:port/n", None, None, "--db is no URL"),
        (None, "amqp://h/v", None, "--transport wants a URL that begins with rabbit,"),
        (None, "kafka", None, "--transport wants a URL that begins with rabbit,"),
        (None, "rabbit:///v", None, "which server is meant"),
        (None, "rabbit://h/v?ssl=1", None, "has no options"),
        (None, None, "redis://h", "name their --transport"),
        (None, "rabbit://h", "redis://h/board", "is a number"),
        (None, "rabbit://h", "zookeeper://h", "--jobboard wants a URL that begins with redis,"),
    ],
)
def test_what_cannot_be_is_told_without_passwords(db: str | None, transport: str | None, jobboard: str | None, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        servers(db, transport, jobboard)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_passwords_are_not_shown_and_are_found() -> None:
    assert shown("rabbit://u:p@one:1,u:p@two/v") == "rabbit://one:1,two/v"
    assert user_and_password("redis://u:a%2Fb@h:1/0") == ("u", "a/b")
    assert user_and_password("redis://:p@h") == (None, "p")
    assert user_and_password("redis://h") == (None, None)


@pytest.mark.parametrize("route", [Route(20001, ("192.0.2.1", "2001:db8::1"), 5432, ""), Route(20002, (), 0, ".s.PGSQL.5432")])
def test_a_route_is_read_as_it_was_written(route: Route) -> None:
    assert Route.read(str(route)) == route
