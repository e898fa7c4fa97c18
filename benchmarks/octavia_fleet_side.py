"""Run by the Python of `.venv/octavia`: `rows DATABASE COUNT` makes Octavia's database with so many amphorae that are in use, and tells of them as JSON,
a line each; `manager CONFIGURATION` is Octavia's health manager, as its command starts it.
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path

from octavia.cmd import health_manager
from octavia.common import constants
from octavia.db import models
from oslo_utils import timeutils
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from hydria.octavia.control import database

#: Members of each load balancer, which has one listener and one pool.
_MEMBERS = 2
#: Rows are written so many amphorae at a time.
_AT_ONCE = 200
_COMMON = {"provisioning_status": constants.ACTIVE, "operating_status": constants.ONLINE, "enabled": True, "project_id": "fleet"}


def rows(path: Path, count: int) -> None:
    database.create(path)
    engine = create_engine(f"sqlite:///{path}")
    for first in range(0, count, _AT_ONCE):
        with Session(engine) as session:
            for number in range(first, min(first + _AT_ONCE, count)):
                sys.stdout.write(json.dumps(one(session, number)) + "\n")
            session.commit()


def one(session: Session, number: int) -> dict[str, object]:
    lb, listener, pool, amphora = (str(uuid.uuid4()) for _ in range(4))
    members = [str(uuid.uuid4()) for _ in range(_MEMBERS)]
    session.add(models.LoadBalancer(id=lb, name=f"lb-{number}", topology="SINGLE", provider="amphora", **_COMMON))
    session.flush()
    session.add(models.Pool(id=pool, load_balancer_id=lb, protocol="HTTP", lb_algorithm="ROUND_ROBIN", **_COMMON))
    session.flush()
    session.add(models.Listener(id=listener, load_balancer_id=lb, protocol="HTTP", protocol_port=80, default_pool_id=pool, **_COMMON))
    session.add(models.Amphora(id=amphora, load_balancer_id=lb, status=constants.AMPHORA_ALLOCATED, compute_id=str(uuid.uuid4())))
    session.add(models.AmphoraHealth(amphora_id=amphora, last_update=timeutils.utcnow(), busy=False))
    for place, member in enumerate(members):
        address = f"198.51.{100 + place}.{number % 250 + 1}"
        session.add(models.Member(id=member, pool_id=pool, ip_address=address, protocol_port=80, weight=1, backup=False, **_COMMON))
    session.flush()
    return {"amphora": amphora, "listener": listener, "pool": pool, "members": members}


def main() -> None:
    if sys.argv[1] == "rows":
        rows(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        database.lock_early()
        sys.argv = ["octavia-health-manager", "--config-file", sys.argv[2]]
        health_manager.main()


main()
