"""The agent's own certificate: what is taken, what is refused and why, and that the old one stays."""

from __future__ import annotations

import datetime as dt
import ssl
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from support.fake_agent import AMPHORA, Certified, pem

from agent.errors import InvalidRequest
from agent.identity import Identity
from agent.routes.bodies import OWN
from agent.settings import LiveSettings, parse
from hydria.lab.certificates import Authority

DAY = dt.timedelta(days=1)


@pytest.fixture
def files(tmp_path: Path) -> Certified:
    return Certified(tmp_path)


@pytest.fixture
def identity(files: Certified) -> Identity:
    return Identity(LiveSettings(files.conf))


def leftovers(files: Certified) -> set[str]:
    return {path.name for path in files.directory.iterdir()}


def test_a_certificate_is_replaced(files: Certified, identity: Identity) -> None:
    before = leftovers(files)
    another = files.servers.server(AMPHORA)
    for content in (pem(another), another.bundle_pem, another.key_pem + another.certificate_pem):
        identity.replace(content)
        assert files.server_pem.read_bytes() == content
        assert files.server_pem.stat().st_mode & 0o777 == 0o600
        assert identity.certificate() == another.der
    assert leftovers(files) == before


def test_one_of_another_authority_is_a_controllers_business(identity: Identity) -> None:
    identity.replace(pem(Authority("new").server(AMPHORA)))


def test_one_with_more_names_is_fine(files: Certified, identity: Identity) -> None:
    identity.replace(pem(files.servers.server("amphora.example", AMPHORA, "198.51.100.1")))


def refused(files: Certified) -> dict[str, tuple[bytes, str]]:
    """What is sent → what is said about it."""
    good, now = files.servers.server(AMPHORA), dt.datetime.now(dt.UTC)
    locked = good.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"password")
    )
    spoilt = good.certificate_pem.splitlines(keepends=True)
    return {
        "nothing": (b"", "there is none in it"),
        "nonsense": (b"\xff\x00nonsense", "there is none in it"),
        "no certificate": (good.key_pem, "there is none in it"),
        "no key": (good.certificate_pem, "cannot be used"),
        "another key": (good.certificate_pem + files.servers.server(AMPHORA).key_pem, "cannot be used: KEY_VALUES_MISMATCH"),
        "a key behind a password": (good.certificate_pem + locked, "cannot be used"),
        "a spoilt certificate": (b"".join(spoilt[:2] + spoilt[3:]) + good.key_pem, "cannot be used"),
        "half": (pem(good)[:-100], "cannot be used"),
        "another amphora's": (pem(files.servers.server("another")), "Hostname mismatch"),
        "the id as common name alone": (pem(files.servers.server("another", common_name=AMPHORA)), "Hostname mismatch"),
        "no name at all": (pem(files.servers.client(AMPHORA)), "no controller would trust"),
        "ended": (pem(files.servers.server(AMPHORA, issued=now - 365 * DAY)), "certificate has expired"),
        "not yet": (pem(files.servers.server(AMPHORA, issued=now + 10 * DAY)), "certificate is not yet valid"),
    }


def test_what_cannot_be_used_is_refused_and_changes_nothing(files: Certified, identity: Identity) -> None:
    before, names = files.server_pem.read_bytes(), leftovers(files)
    for what, (content, said) in refused(files).items():
        with pytest.raises(InvalidRequest, match=said) as caught:
            identity.replace(content)
        assert "PRIVATE" not in str(caught.value), what
        assert files.server_pem.read_bytes() == before, what
    assert leftovers(files) == names


def test_the_largest_nonsense_is_refused_at_once(identity: Identity) -> None:
    """While it is looked at nothing else is done: Python's interpreter is one."""
    begin = time.thread_time()
    with pytest.raises(InvalidRequest, match="there is none in it"):
        identity.replace((b"-----BEGIN CERTIFICATE-----\n" * 10_000)[:OWN])
    assert time.thread_time() - begin < 1


def test_without_an_id_no_name_is_asked_for(tmp_path: Path) -> None:
    files = Certified(tmp_path)
    files.conf.write_text(files.text(amphora_id=""))
    Identity(LiveSettings(files.conf)).replace(pem(files.servers.server("anybody")))


def test_what_is_in_place_counts_for_the_next_connection(files: Certified, identity: Identity) -> None:
    assert isinstance(identity.context(), ssl.SSLContext)
    files.server_pem.write_bytes(b"nonsense")
    with pytest.raises(ssl.SSLError):
        identity.context()
    files.server_pem.unlink()
    with pytest.raises(FileNotFoundError):
        identity.context()


def test_no_client_without_a_certificate(identity: Identity) -> None:
    context = identity.context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_settings_that_name_other_files_are_looked_at(files: Certified, identity: Identity) -> None:
    identity.check(parse(files.text()))
    for spoilt, said in (
        ({"agent_server_ca": "/nowhere"}, "/nowhere"),
        ({"agent_server_cert": "/nowhere"}, "/nowhere cannot be read"),
        ({"agent_server_ca": files.conf}, "cannot be used"),
        ({"amphora_id": "another"}, "Hostname mismatch"),
    ):
        with pytest.raises(InvalidRequest, match=said):
            identity.check(parse(files.text(**spoilt)))


def test_other_settings_may_change_whatever_the_certificate_is_like(files: Certified) -> None:
    settings = LiveSettings(files.conf)
    Identity(settings)
    files.server_pem.write_bytes(pem(files.servers.server("another")))
    settings.replace((files.text() + "[health_manager]\nheartbeat_interval = 3\n").encode())
    assert settings.current.heartbeat_interval == 3
    with pytest.raises(InvalidRequest, match="Hostname mismatch"):
        settings.replace(files.text(agent_tls_protocol="TLSv1.3").encode())
    assert settings.current.agent_tls_protocol == "TLSv1.2"


def test_uploads_at_once_leave_one_of_them_whole(files: Certified, identity: Identity) -> None:
    contents = [pem(files.servers.server(AMPHORA)) for _ in range(8)]
    threads = [threading.Thread(target=identity.replace, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        identity.context()
    assert files.server_pem.read_bytes() in contents
