"""`hydria schema` prints the schema; `hydria completion` prints scripts that the shells take, and that complete."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.schema import schema
from hydria.cli import VERBS, _run
from hydria.cli.output import Output

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_schema_is_the_compilers(capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    assert _run(["schema", *options], Output()) == 0
    assert json.loads(capsys.readouterr().out) == schema()


def test_bash_takes_its_script_and_completes_verbs_options_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["completion", "bash"], Output()) == 0
    script = capsys.readouterr().out
    (tmp_path / "hydria").write_text(f'#!/bin/sh\nexec {sys.executable} -m hydria "$@"\n')
    (tmp_path / "hydria").chmod(0o755)

    def complete(*words: str) -> list[str]:
        # compopt works only while readline completes; what it would be told is printed.
        code = script + 'compopt() { local IFS=" "; echo "compopt $*"; }\n'
        code += 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hydria_completion hydria; printf "%s\\n" "${COMPREPLY[@]}"'
        env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(["bash", "-c", code, "bash", *words], capture_output=True, text=True, env=env, check=True, timeout=60)
        assert done.stderr == ""
        return done.stdout.split("\n")

    assert set(VERBS) <= set(complete("hydria", ""))
    assert "where" in complete("hydria", "wh")
    assert "--client" in complete("hydria", "where", "--cl")
    assert "compopt -o default" in complete("hydria", "check", "")
    assert "zsh" in complete("hydria", "completion", "z")


@pytest.mark.parametrize(("shell", "words"), [("zsh", "#compdef hydria"), ("fish", "complete --no-files --command hydria")])
def test_the_other_shells_have_scripts(capsys: pytest.CaptureFixture[str], shell: str, words: str) -> None:
    assert _run(["completion", shell], Output()) == 0
    assert words in capsys.readouterr().out
    assert _run(["completion", shell, "--json"], Output()) == 0
    assert words in json.loads(capsys.readouterr().out)["script"]


def test_another_shell_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["completion", "tcsh"], Output()) == 2
    assert "tcsh" in capsys.readouterr().err
