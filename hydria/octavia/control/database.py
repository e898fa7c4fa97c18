"""Octavia's database: made by Octavia's migrations where these can run, else of its models; in a file of SQLite locked as Octavia means it to be.

Octavia's migrations are written for MySQL and MariaDB. SQLite cannot run them, because it alters no constraints; PostgreSQL cannot, because one
drops a primary key by the name that it has with MySQL.

Octavia reads with FOR UPDATE what it is about to change, and other databases lock that row then. SQLite has one lock for writers, and takes it late:
so two would see the same row and both change it, or one would find that what it has read is old, and fail. Here FOR UPDATE takes the lock at once.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

from octavia.common import constants
from octavia.db import base_models, models
from sqlalchemy import Engine, Pool, create_engine, event
from sqlalchemy.orm import Session

from agent.errors import SystemFault

if TYPE_CHECKING:
    from pathlib import Path

#: Characters that are told of what has gone wrong.
_TOLD = 1500
#: The words of which Octavia has a table each.
_WORDS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (models.ProvisioningStatus, constants.SUPPORTED_PROVISIONING_STATUSES),
    (models.OperatingStatus, constants.SUPPORTED_OPERATING_STATUSES),
    (models.HealthMonitorType, constants.SUPPORTED_HEALTH_MONITOR_TYPES),
    (models.Algorithm, constants.SUPPORTED_LB_ALGORITHMS),
    (models.Protocol, constants.SUPPORTED_PROTOCOLS),
    (models.SessionPersistenceType, constants.SUPPORTED_SP_TYPES),
    (models.AmphoraRoles, constants.SUPPORTED_AMPHORA_ROLES),
    (models.LBTopology, constants.SUPPORTED_LB_TOPOLOGIES),
    (models.VRRPAuthMethod, constants.SUPPORTED_VRRP_AUTH),
    (models.L7RuleType, constants.SUPPORTED_L7RULE_TYPES),
    (models.L7RuleCompareType, constants.SUPPORTED_L7RULE_COMPARE_TYPES),
    (models.L7PolicyAction, constants.SUPPORTED_L7POLICY_ACTIONS),
    (models.ClientAuthenticationMode, constants.SUPPORTED_CLIENT_AUTH_MODES),
)


def furnish(url: str, configuration: Path) -> None:
    """Makes the tables of the database of a server, that Octavia's configuration names. Raises SystemFault, and what SQLAlchemy raises."""
    engine = create_engine(url)
    if engine.dialect.name == "mysql":
        manage(configuration, "upgrade", "head")
    else:
        _fill(engine)
        # As after all migrations, for those of Octavia's next versions.
        manage(configuration, "stamp", "head")


def create(path: Path) -> None:
    """Makes a file of SQLite, with what must be in it before anybody asks."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        # Who reads does not wait for who writes. It stays so: the file knows.
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    _fill(engine)


def _fill(engine: Engine) -> None:
    base_models.BASE.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(model(name=name) for model, names in _WORDS for name in names)
        session.commit()
        for row in _deleted():
            session.add(row)
            session.flush()
        session.commit()
    engine.dispose()


def manage(configuration: Path, *words: str) -> None:
    """`octavia-db-manage`, as it is. Raises SystemFault."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        "from octavia.db.migration.cli import main; main()",
        "--config-file",
        str(configuration),
    ]
    done = subprocess.run([*command, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemFault(f"octavia-db-manage {' '.join(words)}: {(done.stderr or done.stdout).strip()[-_TOLD:]}")


def _deleted() -> list[Any]:
    """What deleted load balancers refer to, whose flavor or zone is deleted as well."""
    nobody, name = constants.NIL_UUID, "DELETED-PLACEHOLDER"
    return [
        models.FlavorProfile(id=nobody, name=name, provider_name=constants.DELETED, flavor_data="{}"),
        models.Flavor(id=nobody, flavor_profile_id=nobody, name=name, enabled=False),
        models.AvailabilityZoneProfile(id=nobody, name=name, provider_name=constants.DELETED, availability_zone_data="{}"),
        models.AvailabilityZone(availability_zone_profile_id=nobody, name=nobody, enabled=False),
    ]


def lock_early() -> None:
    """Has connections of this process, and of those that it forks, lock as the module says. To be called once, before there are any."""
    event.listen(Pool, "checkout", _begin_when_something_is_changed)
    event.listen(Engine, "begin", _leave_beginning_to_sqlite3)
    event.listen(Engine, "before_execute", _lock_for_update)


def _begin_when_something_is_changed(connection: Any, *_: Any) -> None:
    """Python's `sqlite3` then begins a transaction, with the lock, at the first statement that changes something."""
    connection.isolation_level = "IMMEDIATE"


def _leave_beginning_to_sqlite3(connection: Any) -> None:
    """Else oslo.db begins one for each read; this is how it marks that it has."""
    connection.info["in_transaction"] = True


def _lock_for_update(connection: Any, statement: Any, *_: Any) -> None:
    plain = connection.connection.dbapi_connection
    if getattr(statement, "_for_update_arg", None) is not None and not plain.in_transaction:
        plain.execute("BEGIN IMMEDIATE")
