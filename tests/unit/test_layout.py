"""Who may import whom: the table of the architecture, read off the source files without running any of them."""

from __future__ import annotations

import ast
import re
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]

MAY_IMPORT: dict[str, set[str]] = {
    "hydria": {"agent", "compiler", "fastpath", "templates"},
    "agent": {"compiler", "fastpath", "templates"},
    "compiler": {"fastpath", "templates"},
    "fastpath": set(),
    "templates": set(),
}
"""The product's packages. Whatever else lies beside them (tests, benchmarks, examples) may import all of them and is imported by none."""

BESIDE = {"benchmarks", "docs", "examples", "images", "tests", "tools"}

# fmt: off
IMPURE_MODULES = {
    "asyncio", "builtins", "concurrent", "ctypes", "fcntl", "fileinput", "getpass", "glob", "http", "importlib", "io", "logging",
    "mmap", "multiprocessing", "os", "platform", "pwd", "random", "resource", "secrets", "select", "selectors", "shutil", "signal",
    "socket", "socketserver", "ssl", "subprocess", "sys", "syslog", "tempfile", "threading", "time", "urllib.request",
}
# fmt: on
"""What reaches outside: files, processes, the network, clocks, randomness, the machine it happens to run on."""

OCTAVIA = {"octavia", "octavia_lib", "oslo_config", "oslo_context", "oslo_log", "stevedore"}
"""What is there only where Octavia's controller runs; `hydria/octavia` alone may know it, and nobody may know `hydria/octavia`."""

IMPURE_BUILTINS = {"__import__", "breakpoint", "eval", "exec", "input", "open", "print"}
IMPURE_NAMES = {"Path", "PosixPath", "fromtimestamp", "getnode", "now", "today", "utcnow", "uuid1", "uuid4"}
"""The impure names of modules that are otherwise functions of their arguments (`datetime`, `pathlib`, `uuid`)."""


class Import(NamedTuple):
    """One imported name: `from a.b import c` is `a.b` and `c`, `import a.b` is `a.b` and nothing."""

    line: int
    module: str
    name: str
    typing_only: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    def within(self, modules: set[str]) -> bool:
        parts = [*self.module.split("."), self.name]
        return any(".".join(parts[:count]) in modules for count in range(1, len(parts) + 1))


class Source(NamedTuple):
    """A file of the product: the dotted name of its module (`compiler.__init__` for a package's own file)."""

    path: str
    module: str
    text: str

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


def sources(root: Path) -> list[Source]:
    found = []
    for package in sorted(MAY_IMPORT):
        for path in sorted((root / package).rglob("*")):
            if path.suffix in {".py", ".pyi", ".pyx", ".pxd"}:
                relative = path.relative_to(root)
                found.append(Source(str(relative), ".".join(relative.with_suffix("").parts), path.read_text()))
    return found


def imports(source: Source) -> Iterator[Import]:
    """Every import of a file, those inside functions too; relative ones resolved."""
    if source.path.endswith((".pyx", ".pxd")):
        yield from _cython_imports(source)
        return
    tree = ast.parse(source.text, source.path)
    guarded = {
        id(inner) for node in ast.walk(tree) if isinstance(node, ast.If) and _is_type_checking(node.test) for inner in _nodes(node.body)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, "", id(node) in guarded)
        elif isinstance(node, ast.ImportFrom):
            above = source.module.split(".")[: -node.level] if node.level else []
            for alias in node.names:
                yield Import(node.lineno, ".".join([*above, *filter(None, [node.module])]), alias.name, id(node) in guarded)


def _cython_imports(source: Source) -> Iterator[Import]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if match := re.match(r"\s*from\s+([\w.]+)\s+c?import\b|\s*c?import\s+([\w.]+)", line):
            yield Import(number, match[1] or match[2], "", typing_only=False)


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _nodes(statements: list[ast.stmt]) -> Iterator[ast.AST]:
    for statement in statements:
        yield from ast.walk(statement)


def forbidden_imports(root: Path) -> list[str]:
    """Arrows that do not point down."""
    return [
        f"{source.path}:{found.line}: {source.top} may not import {found.top}"
        for source in sources(root)
        for found in imports(source)
        if found.top in (MAY_IMPORT.keys() | BESIDE) - MAY_IMPORT[source.top] - {source.top}
    ]


def cycles(root: Path) -> list[str]:
    """Circles between the files and packages that lie in the same package, each seen with all that is below it.

    A circle of files is one of these too: at the package where the paths to its files part.
    """
    files = {source.module: source for source in sources(root) if not source.path.endswith((".pyi", ".pxd"))}
    levels: dict[str, dict[str, set[str]]] = {}
    for module, source in files.items():
        for target in sorted({_file_of(found, files) for found in imports(source) if not found.typing_only} - {"", module}):
            here, there = module.split("."), target.split(".")
            common = next((i for i, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), 0)
            graph = levels.setdefault(".".join(here[:common]), {})
            graph.setdefault(".".join(here[: common + 1]), set()).add(".".join(there[: common + 1]))
    problems = []
    for graph in levels.values():
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            problems.append(" imports ".join(reversed(error.args[1])))
    return problems


def _file_of(found: Import, files: dict[str, Source]) -> str:
    """The file of ours that an import names, "" where it is none of ours."""
    names = [f"{found.module}.{found.name}", f"{found.module}.{found.name}.__init__", found.module, f"{found.module}.__init__"]
    return next((name for name in names if name in files), "")


def impurities(root: Path, package: str = "compiler") -> list[str]:
    """Where a package that is to be pure does I/O, looks at a clock or throws dice."""
    return [
        f"{source.path}:{line}: {package} may not {what}"
        for source in sources(root)
        if source.top == package
        for line, what in [*_impure_imports(source), *_impure_uses(source)]
    ]


def _impure_imports(source: Source) -> Iterator[tuple[int, str]]:
    for found in imports(source):
        if not found.typing_only and (found.name in IMPURE_NAMES or found.within(IMPURE_MODULES)):
            yield found.line, f"import {found.module}{found.name and '.'}{found.name}"


def _impure_uses(source: Source) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source.text, source.path)):
        if (isinstance(node, ast.Name) and node.id in IMPURE_BUILTINS) or (isinstance(node, ast.Attribute) and node.attr in IMPURE_NAMES):
            yield node.lineno, f"use {ast.unparse(node)}"


def octavia_elsewhere(root: Path) -> list[str]:
    """Where something imports Octavia, or what is made for it, and is not itself made for it."""
    return [
        f"{source.path}:{found.line}: only hydria/octavia may import {found.module}"
        for source in sources(root)
        if not source.path.startswith("hydria/octavia/")
        for found in imports(source)
        if found.top in OCTAVIA or found.within({"hydria.octavia"})
    ]


def packages_without_rules(root: Path) -> list[str]:
    """Packages whose `__init__.py` does not open with a docstring, and folders with modules but without an `__init__.py`."""
    folders = sorted({(root / source.path).parent for source in sources(root)})
    texts = {folder: (folder / "__init__.py").read_text() if (folder / "__init__.py").exists() else "" for folder in folders}
    return [str(folder.relative_to(root)) for folder, text in texts.items() if not ast.get_docstring(ast.parse(text))]


# --- this tree ---


def test_every_package_has_its_place_in_the_table() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert "compiler" in packages
    assert packages <= MAY_IMPORT.keys() | BESIDE


def test_arrows_only_point_down() -> None:
    assert forbidden_imports(ROOT) == []


def test_nothing_goes_round_in_circles() -> None:
    assert cycles(ROOT) == []


def test_the_compiler_is_pure() -> None:
    assert impurities(ROOT) == []


def test_octavia_is_known_in_one_place() -> None:
    assert octavia_elsewhere(ROOT) == []


def test_every_package_opens_with_its_rules() -> None:
    assert packages_without_rules(ROOT) == []


def test_every_package_is_type_checked_and_shipped() -> None:
    """`pyproject.toml` has to name packages in two places; one that is forgotten there would fall silently out of the checks or the wheel."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} & MAY_IMPORT.keys()
    assert packages <= set(settings["mypy"]["files"])
    assert packages <= {pattern.rstrip("*.") for pattern in settings["setuptools"]["packages"]["find"]["include"]}


def test_every_package_is_in_the_readme() -> None:
    told = set(re.findall(r"^\| `(\w+)/` \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} <= told


# --- made-up trees: the checks above can fail ---


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """Makes files below a root: `tree({"compiler/a.py": "import os"})`."""

    def make(files: dict[str, str]) -> Path:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("compiler/a.py", "from agent import app", "compiler/a.py:1: compiler may not import agent"),
        ("compiler/a.py", "import fastpath.hash\nimport hydria.cli", "compiler/a.py:2: compiler may not import hydria"),
        ("compiler/a.py", "def f():\n    import agent.app", "compiler/a.py:2: compiler may not import agent"),
        ("compiler/deep/a.py", "if TYPE_CHECKING:\n    from agent.app import App", "compiler/deep/a.py:2: compiler may not import agent"),
        ("agent/a.py", "from hydria.cli import main", "agent/a.py:1: agent may not import hydria"),
        ("templates/__init__.py", "import compiler", "templates/__init__.py:1: templates may not import compiler"),
        ("fastpath/a.pyx", "cimport cython\nfrom compiler cimport x", "fastpath/a.pyx:2: fastpath may not import compiler"),
        ("hydria/a.py", "from tests.support import ports", "hydria/a.py:1: hydria may not import tests"),
    ],
)
def test_an_arrow_that_points_up_is_found(tree: Callable[..., Path], path: str, text: str, expected: str) -> None:
    assert forbidden_imports(tree({path: text})) == [expected]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("hydria/a.py", "import agent, compiler, fastpath, templates, click"),
        ("agent/a.py", "from compiler.load import load"),
        ("compiler/deep/a.py", "from ..graph import Pool\nfrom . import b"),
        ("fastpath/a.pyx", "from fastpath.b cimport c"),
        ("tests/a.py", "import hydria"),
    ],
)
def test_an_arrow_that_points_down_or_within_is_fine(tree: Callable[..., Path], path: str, text: str) -> None:
    assert forbidden_imports(tree({path: text})) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"compiler/a.py": "from compiler import b", "compiler/b.py": "import compiler.a"}, {"compiler.a", "compiler.b"}),
        ({"compiler/a.py": "from .b import x", "compiler/b.py": "def f():\n    from .a import y"}, {"compiler.a", "compiler.b"}),
        (
            {"compiler/__init__.py": "from compiler.a import x", "compiler/a.py": "from compiler import x"},
            {"compiler.__init__", "compiler.a"},
        ),
        (
            {"hydria/x/a.py": "import hydria.y.a", "hydria/y/a.py": "", "hydria/y/b.py": "from hydria.x import b", "hydria/x/b.py": ""},
            {"hydria.x", "hydria.y"},
        ),
        ({"agent/a.py": "import hydria.a", "hydria/a.py": "", "hydria/b.py": "import agent.a"}, {"agent", "hydria"}),
    ],
)
def test_a_circle_is_found(tree: Callable[..., Path], files: dict[str, str], expected: set[str]) -> None:
    [problem] = cycles(tree(files))
    assert set(problem.split(" imports ")) == expected


@pytest.mark.parametrize(
    "files",
    [
        {"compiler/a.py": "if TYPE_CHECKING:\n    from compiler.b import B", "compiler/b.py": "from compiler.a import A"},
        {"compiler/__init__.py": "from compiler.a import load", "compiler/a.py": "from compiler.b import B", "compiler/b.py": "import re"},
        {
            "hydria/cli/__init__.py": "from hydria.cli.a import A",
            "hydria/cli/a.py": "import hydria.errors",
            "hydria/errors.py": "import os",
        },
    ],
)
def test_a_straight_line_is_no_circle(tree: Callable[..., Path], files: dict[str, str]) -> None:
    assert cycles(tree(files)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import os.path", "import os.path"),
        ("import re, socket", "import socket"),
        ("from subprocess import run", "import subprocess.run"),
        ("def f():\n    import time", "import time"),
        ("import random as r", "import random"),
        ("import secrets", "import secrets"),
        ("from urllib.request import urlopen", "import urllib.request.urlopen"),
        ("from urllib import request", "import urllib.request"),
        ("from pathlib import Path", "import pathlib.Path"),
        ("from uuid import uuid4", "import uuid.uuid4"),
        ("import uuid\nuuid.uuid1()", "use uuid.uuid1"),
        ("from datetime import UTC, datetime\ndatetime.now(UTC)", "use datetime.now"),
        ("import datetime as dt\ndt.date.today()", "use dt.date.today"),
        ("open('x')", "use open"),
        ("f = print", "use print"),
    ],
)
def test_an_impure_compiler_is_found(tree: Callable[..., Path], text: str, expected: str) -> None:
    [problem] = impurities(tree({"compiler/a.py": text}))
    assert problem.endswith(f": compiler may not {expected}")


@pytest.mark.parametrize(
    "text",
    [
        "import hashlib, uuid\nuuid.uuid5(uuid.NAMESPACE_URL, 'x')",
        "from datetime import datetime",
        "from pathlib import PurePosixPath",
        "from urllib.parse import urlsplit",
        "from compiler.secrets import Secrets",
        "if TYPE_CHECKING:\n    from pathlib import Path",
    ],
)
def test_a_pure_compiler_is_fine(tree: Callable[..., Path], text: str) -> None:
    assert impurities(tree({"compiler/a.py": text})) == []


def test_purity_is_asked_of_the_compiler_only(tree: Callable[..., Path]) -> None:
    assert impurities(tree({"agent/a.py": "import os", "fastpath/b.pyx": "import time"})) == []


def test_octavia_that_is_known_elsewhere_is_found(tree: Callable[..., Path]) -> None:
    files = {
        "agent/a.py": "from octavia.common import constants",
        "hydria/b.py": "def f():\n    from hydria.octavia import graphs",
        "hydria/octavia/c.py": "from octavia.common import constants\nfrom hydria.octavia import graphs",
    }
    assert octavia_elsewhere(tree(files)) == [
        "agent/a.py:1: only hydria/octavia may import octavia.common",
        "hydria/b.py:2: only hydria/octavia may import hydria.octavia",
    ]


def test_a_package_that_does_not_tell_its_rules_is_found(tree: Callable[..., Path]) -> None:
    files = {"agent/__init__.py": '"""Rules."""', "compiler/__init__.py": "import re", "compiler/a.py": "", "hydria/lab/b.py": ""}
    assert packages_without_rules(tree(files)) == ["compiler", "hydria/lab"]
