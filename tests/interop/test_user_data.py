"""User data as Octavia's own template writes them (`user_data_config_drive`): the files that an amphora gets are read out of them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from octavia_process import PYTHON
from support.agents import Trust
from support.config_drives import write_drive

from agent.config_drive import read
from agent.settings import parse

if TYPE_CHECKING:
    from pathlib import Path

_RENDER = """
import json, sys
from octavia.common import config
from octavia.common.jinja import user_data_jinja_cfg
print(user_data_jinja_cfg.UserDataJinjaCfg().build_user_data_config(json.load(sys.stdin)))
"""
CONF = "/etc/octavia/amphora-agent.conf"


def rendered(files: dict[str, str]) -> bytes:
    done = subprocess.run([PYTHON, "-c", _RENDER], input=json.dumps(files), capture_output=True, text=True, check=True)
    return done.stdout.encode()


def test_settings_and_certificates_are_as_they_were_sent(tmp_path: Path) -> None:
    trust = Trust()
    files = {
        CONF: "[DEFAULT]\ndebug = False\n\n[health_manager]\nheartbeat_key = insecure\n[amphora_agent]\namphora_id = abc\n",
        "/etc/octavia/certs/server.pem": trust.agents.server("abc").bundle_pem.decode(),
        "/etc/octavia/certs/client_ca.pem": trust.controllers.certificate_pem.decode(),
    }
    drive = read(write_drive(tmp_path, {}, user_data=rendered(files)))
    got = {file.path: file for file in drive.files}
    assert {path: file.content.decode().rstrip("\n") for path, file in got.items()} == {
        path: text.rstrip("\n") for path, text in files.items()
    }
    assert {file.mode for file in drive.files} == {0o600}
    assert parse(got[CONF].content.decode()).heartbeat_key == "insecure"
    assert drive.timezone == "UTC"
    assert drive.ignored == ()


def test_without_files_there_is_nothing_to_do(tmp_path: Path) -> None:
    drive = read(write_drive(tmp_path, {CONF: b"x"}, user_data=rendered({})))
    assert [file.path for file in drive.files] == [CONF]
    assert drive.ignored == ()
