"""Octavia's side of the tests of a lab's drivers: loads them as Octavia's worker does, and calls them as a line of JSON on standard input says.

`python lab_driver_side.py DIRECTORY`. Models come and go as JSON objects; what Octavia would read of them is what tests have to give.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any

from octavia.common import config
from oslo_config import cfg

from hydria.octavia import settings

DRIVER = "hydria_lab"


def main(directory: str) -> None:
    settings.register(cfg.CONF)
    config.init([])
    cfg.CONF.set_override("lab_directory", directory, "hydria")
    drivers: dict[str, Any] = {}
    for kind in ("compute", "network"):
        [found] = entry_points(group=f"octavia.{kind}.drivers", name=DRIVER)
        drivers[kind] = found.load()()
    for line in sys.stdin:
        asked = json.loads(line, object_hook=_model)
        answer: dict[str, Any] = {"result": None, "raised": None}
        try:
            call = getattr(drivers[asked["kind"]], asked["method"]) if asked["kind"] in drivers else _TEMPLATES[asked["kind"]]
            answer["result"] = _plain(call(*asked["arguments"], **asked["keywords"]))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it
            answer["raised"] = [type(error).__name__, str(error)]
        print(json.dumps(answer), flush=True)  # noqa: T201


def _agent_config(amphora: str, topology: str) -> Any:
    from octavia.amphorae.backends.agent import agent_jinja_cfg  # noqa: PLC0415 - its templates are read at import

    return agent_jinja_cfg.AgentJinjaTemplater().build_agent_config(amphora, topology)


def _user_data(files: dict[str, str]) -> Any:
    from octavia.common.jinja import user_data_jinja_cfg  # noqa: PLC0415 - as above

    return user_data_jinja_cfg.UserDataJinjaCfg().build_user_data_config(files)


_TEMPLATES: dict[str, Any] = {"agent-config": _agent_config, "user-data": _user_data}


def _model(fields: dict[str, Any]) -> Any:
    """What is marked as a model is one, by its attributes; everything else is plain."""
    return SimpleNamespace(**fields["model"]) if fields.keys() == {"model"} else fields


def _plain(result: Any) -> Any:
    if isinstance(result, list | tuple):
        return [_plain(each) for each in result]
    if isinstance(result, dict):
        return {key: _plain(value) for key, value in result.items()}
    if hasattr(result, "to_dict"):
        # What a VIP belongs to is what the test has given.
        return {key: _plain(value) for key, value in vars(result).items() if key not in ("load_balancer", "amphora")}
    if result is None or isinstance(result, str | int | bool | float):
        return result
    return {"id": result.id}


if __name__ == "__main__":
    main(sys.argv[1])
