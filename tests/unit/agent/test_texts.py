"""Small files: any word arrives as it is where it is read."""

from __future__ import annotations

import subprocess

import pytest

from agent.errors import SystemFault
from agent.texts import Text, render, shell, systemd, systemd_line

HOSTILE = ["plain", "a b", "it's", '"q"', "$HOME ${X} `id`", "%h%%", "back\\slash", "; rm -rf /", "#x", "-n", "ü", "*", "~", ""]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_shell_reads_the_word(text: str) -> None:
    done = subprocess.run(["sh", "-c", f"printf %s {shell(text)}"], capture_output=True, check=True)
    assert done.stdout.decode() == text


def test_systemd_words() -> None:
    assert systemd("/usr/sbin/haproxy") == "/usr/sbin/haproxy"
    assert systemd('a "b" \\ %h $X') == '"a \\"b\\" \\\\ %%h $$X"'
    assert systemd("") == '""'
    assert systemd_line("100% \\ of it") == "100%% \\\\ of it"


@pytest.mark.parametrize("text", ["a\nExecStart=/bin/sh", "\x00", "\x7f"])
def test_no_file_holds_control_characters(text: str) -> None:
    for function in (shell, systemd, systemd_line):
        with pytest.raises(SystemFault, match="control character"):
            function(text)


def test_a_template_refuses_what_is_no_finished_text() -> None:
    text = render("scripts/vrrp_check.sh.j2", programs=[(Text("haproxy"), shell("/run/a b.pid"))])
    assert b"check haproxy '/run/a b.pid'\n" in text
    with pytest.raises(SystemFault, match="no finished text"):
        render("scripts/vrrp_check.sh.j2", programs=[("haproxy", "/run/x.pid")])
