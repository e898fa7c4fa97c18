"""References to secrets become files below one directory, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler.secrets import Secret
from hydria.secret_files import LIMIT, resolve

UUID = "8d2c1c5e-3f0a-4c61-9d6c-0a4f8e2b7a11"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "secrets"
    place.mkdir()
    (tmp_path / "outside.pem").write_bytes(b"outside")
    return place


def found(reference: str, folder: Path | None, base: Path = Path("/nowhere")) -> Secret:
    secrets = resolve([reference], folder, base)
    assert secrets.reasons == {}
    return secrets[reference]


def reason(reference: str, folder: Path | None, base: Path = Path("/nowhere")) -> str:
    secrets = resolve([reference], folder, base)
    assert dict(secrets) == {}
    return secrets.reasons[reference]


@pytest.mark.parametrize("file", ["web", "web.pem", "web.p12", "web.pfx"])
def test_a_name_is_a_file_with_or_without_a_suffix(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b"content")
    assert found("web", folder) == Secret(b"content")


def test_the_exact_name_wins_over_a_suffix(folder: Path) -> None:
    (folder / "web").write_bytes(b"exact")
    (folder / "web.pem").write_bytes(b"suffix")
    assert found("web", folder) == Secret(b"exact")


@pytest.mark.parametrize(
    "reference",
    [
        f"https://keys.example/v1/containers/{UUID}",
        f"https://keys.example/v1/containers/{UUID}/",
        f"https://keys.example:9311/v1/secrets/{UUID}?x=1#y",
        f"http://[2001:db8::1]/{UUID}",
        UUID,
    ],
)
def test_a_url_is_known_by_its_last_component(folder: Path, reference: str) -> None:
    (folder / f"{UUID}.pem").write_bytes(b"content")
    assert found(reference, folder) == Secret(b"content")


def test_a_passphrase_beside_the_file_belongs_to_it_without_its_end_of_line(folder: Path) -> None:
    (folder / "web.p12").write_bytes(b"content")
    (folder / "web.passphrase").write_bytes(b" open sesame \r\n")
    assert found("web", folder) == Secret({"bundle": b"content", "private_key_passphrase": b" open sesame "})


@pytest.mark.parametrize("suffixes", [("", "", "", ""), (".crt", ".key", ".pem", ".pem"), (".pem", ".pem", ".crt", "")])
@pytest.mark.parametrize("passphrase", ["private_key_passphrase", "passphrase"])
def test_a_directory_holds_the_parts(folder: Path, suffixes: tuple[str, ...], passphrase: str) -> None:
    (folder / "web").mkdir()
    for name, suffix in zip(("certificate", "private_key", "intermediates", passphrase), suffixes, strict=True):
        (folder / "web" / (name + suffix)).write_text(f"{name}\n")
    assert found("web", folder) == Secret(
        {
            "certificate": b"certificate\n",
            "private_key": b"private_key\n",
            "intermediates": b"intermediates\n",
            "private_key_passphrase": passphrase.encode(),
        }
    )


def test_a_directory_without_parts_says_what_it_should_hold(folder: Path) -> None:
    (folder / "web").mkdir()
    assert "certificate" in reason("web", folder)


def test_a_map_names_files_and_directories(folder: Path) -> None:
    (folder / "tls").mkdir()
    (folder / "tls" / "site.bin").write_bytes(b"site")
    (folder / "tls" / "site.bin.passphrase").write_bytes(b"word\n")
    (folder / "split").mkdir()
    (folder / "split" / "certificate").write_bytes(b"cert")
    (folder / "secrets.yaml").write_text(
        f"https://k/{UUID}: tls/site.bin\n{UUID}: split\nelsewhere: 'file:{folder.parent}/outside.pem'\nnear: file:../outside.pem\n"
    )
    assert found(f"https://k/{UUID}", folder) == Secret({"bundle": b"site", "private_key_passphrase": b"word"})
    assert found(UUID, folder) == Secret({"certificate": b"cert"})
    assert found("elsewhere", folder) == found("near", folder) == Secret(b"outside")


@pytest.mark.parametrize("text", ["- a\n", "a: 1\n", "1: a\n", "a: [b]\n", "a: b: c\n", "\x00", "[" * 5000])
def test_a_map_that_is_none_is_the_reason_for_every_reference(folder: Path, text: str) -> None:
    (folder / "web.pem").write_bytes(b"content")
    (folder / "secrets.yaml").write_text(text)
    assert "secrets.yaml" in reason("web", folder)


def test_an_empty_map_maps_nothing(folder: Path) -> None:
    (folder / "web.pem").write_bytes(b"content")
    (folder / "secrets.yaml").write_text("# nothing yet\n")
    assert found("web", folder) == Secret(b"content")


def test_file_urls_are_absolute_or_relative_to_the_graph(folder: Path) -> None:
    base = folder.parent
    (base / "with space.pem").write_bytes(b"spaced")
    assert found(f"file://{base}/outside.pem", None) == Secret(b"outside")
    assert found(f"file:{base}/outside.pem", None) == Secret(b"outside")
    assert found(f"file://localhost{base}/outside.pem", None) == Secret(b"outside")
    assert found("file:outside.pem", None, base) == Secret(b"outside")
    assert found("file:with%20space.pem", None, base) == Secret(b"spaced")


@pytest.mark.parametrize("url", ["file:", "file://", "file://other.example/etc/passwd", "file:%00", "file://[", "file:" + "a" * 5000])
def test_file_urls_that_name_no_file_here(folder: Path, url: str) -> None:
    assert reason(url, folder, folder)


def test_without_a_directory_the_reason_names_the_option() -> None:
    assert "--secrets" in reason("web", None)


def test_what_is_missing_is_named_with_what_was_tried(folder: Path) -> None:
    assert all(name in reason("web", folder) for name in ("web,", "web.pem", "web.p12", "web.pfx", "web/"))


@pytest.mark.parametrize(
    "reference",
    [
        "../outside.pem",
        "../outside",
        "..",
        ".",
        "",
        "/",
        "a/../../outside.pem",
        "../secrets",
        "/etc/passwd",
        "https://k/v1/..",
        "https://k/%2e%2e",
        "https://k/a%2f..%2f..",
        "https://k/",
        "https://k",
        "https://[",
        "a\0b",
        "x" * 5000,
        "\ud800",
        "link.pem",
        "link",
        "loop",
        "out",
        "out/outside.pem",
        "fifo",
        "split",
    ],
)
def test_hostile_references_find_nothing(folder: Path, reference: str) -> None:
    (folder / "link.pem").symlink_to("../outside.pem")
    (folder / "loop").symlink_to("loop")
    (folder / "out").symlink_to("..")
    os.mkfifo(folder / "fifo")
    (folder / "split").mkdir()
    (folder / "split" / "certificate").symlink_to("../../outside.pem")
    (folder.parent / "certificate").write_bytes(b"outside")
    assert reason(reference, folder)


@pytest.mark.parametrize("path", ["../outside.pem", "/etc/hostname", "link.pem", ".", ""])
def test_a_map_does_not_lead_out_either(folder: Path, path: str) -> None:
    (folder / "link.pem").symlink_to("../outside.pem")
    (folder / "secrets.yaml").write_text(f"web: '{path}'\n")
    assert reason("web", folder)


def test_a_passphrase_does_not_come_from_outside(folder: Path) -> None:
    (folder / "web.pem").write_bytes(b"content")
    (folder / "web.passphrase").symlink_to("../outside.pem")
    assert "leads out" in reason("web", folder)


def test_links_that_stay_inside_are_followed(folder: Path) -> None:
    (folder / "archive").mkdir()
    (folder / "archive" / "web1.pem").write_bytes(b"content")
    (folder / "web.pem").symlink_to("archive/web1.pem")
    assert found("web", folder) == Secret(b"content")


def test_the_directory_itself_may_be_a_link(folder: Path) -> None:
    (folder / "web.pem").write_bytes(b"content")
    (folder.parent / "link").symlink_to("secrets")
    assert found("web", folder.parent / "link") == Secret(b"content")


def test_size_is_bounded(folder: Path) -> None:
    (folder / "most.pem").write_bytes(b"x" * LIMIT)
    (folder / "more.pem").write_bytes(b"x" * (LIMIT + 1))
    assert found("most", folder) == Secret(b"x" * LIMIT)
    assert "larger than 1024 KiB" in reason("more", folder)


def test_devices_are_not_read() -> None:
    assert "not a regular file" in reason("file:///dev/zero", None)


def test_one_that_is_missing_does_not_keep_the_others_away(folder: Path) -> None:
    (folder / "web.pem").write_bytes(b"content")
    secrets = resolve(["none", "web"], folder, folder)
    assert set(secrets) == {"web"}
    assert set(secrets.reasons) == {"none"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(
    reference=st.lists(st.sampled_from(["..", ".", "/", "outside", ".pem", "file", ":", "%2e", "%2f", "https://", "a", "\0", "~"])).map(
        "".join
    )
)
def test_no_reference_reaches_the_file_outside(folder: Path, reference: str) -> None:
    secrets = resolve([reference], folder, folder)
    assert all(secret != Secret(b"outside") for name, secret in secrets.items() if not name.startswith("file:"))
    assert len(secrets) + len(secrets.reasons) == 1
