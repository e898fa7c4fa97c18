"""What a disk may hold when the power goes: a model of a file system, fed with what a program really asked of the kernel.

`recorded` has strace(1) write down every call by which a program changes files; `Disk` plays that back as POSIX promises it and no better:

* what is in a file is safe after fsync(2) of the file; before, it may be any of what was written, or a part of it, or nothing;
* a name (of a file made, renamed, removed) is safe after fsync of its directory; before, each change of a name may or may not have
  come to the disk, in whatever order. A rename comes as a whole or not at all.

The idea is that of Pillai and others, "All File Systems Are Not Created Equal" (OSDI 2014).
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

#: Calls that change files, or make that safe. One that is missing is noticed: what was played back is compared with what is there.
_CALLS = (
    "open,openat,creat,write,pwrite64,writev,pwritev,ftruncate,truncate,fsync,fdatasync,sync,syncfs,rename,renameat,renameat2,link,linkat,"
    "symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,chmod,fchmod,fchmodat,sendfile,copy_file_range,fallocate"
)
#: Of those who are recorded.
_UMASK = 0o022
_LINE = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+).*")
_ARGUMENT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"|(AT_FDCWD|\d+)<([^<>]*)>(\(deleted\))?|([^,\s]+)')


class Call(NamedTuple):
    """A system call that did not fail. Arguments: bytes for a string, a path for a file descriptor, words otherwise."""

    name: str
    arguments: tuple[bytes | Path | str, ...]


def recorded(command: Sequence[str], log: Path, below: Path, but: Path) -> list[Call]:
    """Runs a command to its end; what its first thread did to files below a directory, but for those below another one in it."""
    tracing = ["strace", "-o", str(log), "-y", "-xx", "-s", str(1 << 24), "-e", f"trace={_CALLS}", "-e", "signal=none"]
    done = subprocess.run([*tracing, *command], capture_output=True, text=True, check=False, umask=_UMASK)
    assert done.returncode == 0, done.stderr
    found = []
    for line in log.read_text().splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None or int(match[3]) < 0:
            assert match is not None or line.startswith("+++"), line
            continue
        call = Call(match[1], tuple(_arguments(match[2])))
        if any(path.is_relative_to(below) and not path.is_relative_to(but) for path in _paths(call)):
            found.append(call)
    return found


def _arguments(text: str) -> Iterator[bytes | Path | str]:
    for match in _ARGUMENT.finditer(text):
        if match[1] is not None:
            yield _unhexed(match[1])
        elif match[2] is not None:
            # What nobody can find any more is of no interest.
            yield Path(os.fsdecode(_unhexed(match[3]))) if match[4] is None else "deleted"
        else:
            yield match[5]


def _unhexed(text: str) -> bytes:
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), text.encode())


def _paths(call: Call) -> list[Path]:
    """All that it is about, absolute."""
    arguments = list(call.arguments)
    if call.name.startswith(("write", "pwrite", "ftruncate", "fsync", "fdatasync", "fchmod")) and call.name != "fchmodat":
        return [argument for argument in arguments[:1] if isinstance(argument, Path)]
    if call.name in ("symlink", "symlinkat"):
        arguments = arguments[1:]
    found, place = [], Path("/")
    for argument in arguments:
        if isinstance(argument, Path):
            place = argument
        elif isinstance(argument, bytes):
            found.append(place / os.fsdecode(argument))
    return found


class _Node:
    """A file, a directory or a link. `contents` are those that a file has had since it was last safe; the last is what it has."""

    def __init__(self, kind: str, mode: int, content: bytes = b"") -> None:
        self.kind = kind
        self.mode = mode
        self.contents = [content]
        self.names: dict[str, _Node] = {}


class _Change(NamedTuple):
    """Of names, at once: in which directories, which name leads to what from then on."""

    names: tuple[tuple[_Node, str, _Node | None], ...]


#: What a disk holds: path → None for a directory, a str for where a link leads, bytes for a file; and the mode.
State = dict[str, tuple[bytes | str | None, int]]


class Disk:
    """What is below `root`, all of it safe at first, but for what is below `but`: that is in memory anyway."""

    def __init__(self, root: Path, but: Path) -> None:
        self._place = root
        self._but = but
        self._root = self._read(root)
        #: The names as they are on the disk for certain: those of `_root` and of whatever is in it, by directory.
        self._safe: dict[_Node, dict[str, _Node]] = {}
        self._remember(self._root)
        self._pending: list[_Change] = []

    # --- playing back ---

    def play(self, call: Call) -> None:
        """One call more."""
        paths = [path for path in _paths(call) if self._is_ours(path)]
        if not paths:
            return
        path, first, last = paths[0], call.arguments[0], call.arguments[-1]
        match call.name:
            case "open" | "openat" | "creat":
                self._open(path, " ".join(word for word in call.arguments if isinstance(word, str)))
            case "write" | "fsync" | "fdatasync" | "chmod" | "fchmod":
                self._touch(call, self._at(path))
            case "rename" | "renameat":
                self._rename(*paths)
            case "link" | "linkat":
                self._change((paths[1], self._at(path)))
            case "symlink" | "symlinkat":
                assert isinstance(first, bytes)
                self._change((path, _Node("link", 0o777, first)))
            case "unlink" | "unlinkat" | "rmdir":
                self._change((path, None))
            case "mkdir" | "mkdirat":
                self._change((path, _Node("directory", int(str(last), 8) & ~_UMASK)))
            case _:
                raise NotImplementedError(call)

    def _touch(self, call: Call, node: _Node) -> None:
        if call.name == "write":
            assert isinstance(call.arguments[1], bytes)
            node.contents.append(node.contents[-1] + call.arguments[1])
        elif call.name in ("chmod", "fchmod"):
            node.mode = int(str(call.arguments[-1]), 8)
        else:
            self._sync(node)

    def _open(self, path: Path, flags: str) -> None:
        if "O_CREAT" in flags and path.name not in self._at(path.parent).names:
            mode = flags.rpartition(" ")[2]
            self._change((path, _Node("file", (int(mode, 8) if mode.isdigit() else 0o600) & ~_UMASK)))
        elif "O_TRUNC" in flags:
            self._at(path).contents.append(b"")
        assert "O_APPEND" not in flags or "O_CREAT" not in flags, "appending is not played"

    def _rename(self, one: Path, other: Path) -> None:
        self._change((one, None), (other, self._at(one)))

    def _change(self, *names: tuple[Path, _Node | None]) -> None:
        change = _Change(tuple((self._at(path.parent), path.name, node) for path, node in names))
        self._pending.append(change)
        _apply(change, {directory: directory.names for directory, _, _ in change.names})

    def _sync(self, node: _Node) -> None:
        if node.kind == "file":
            del node.contents[:-1]
            return
        for change in self._pending:
            if any(directory is node for directory, _, _ in change.names):
                _apply(change, self._safe)
        self._pending = [change for change in self._pending if all(directory is not node for directory, _, _ in change.names)]

    def _at(self, path: Path) -> _Node:
        node = self._root
        for part in path.relative_to(self._place).parts:
            node = node.names[part]
        return node

    def _is_ours(self, path: Path) -> bool:
        return path.is_relative_to(self._place) and not path.is_relative_to(self._but)

    # --- what may be there ---

    def now(self) -> State:
        """What a running machine sees."""
        return self._state({}, None)

    def least(self) -> State:
        """What was made safe, and nothing else."""
        return self._state(self._safe, None, least=True)

    def some(self, dice: random.Random) -> State:
        """That, and by chance some of what was not."""
        names = {directory: dict(held) for directory, held in self._safe.items()}
        share = dice.random()
        for change in self._pending:
            if dice.random() < share:
                _apply(change, names)
        return self._state(names, dice)

    def _state(self, names: dict[_Node, dict[str, _Node]], dice: random.Random | None, *, least: bool = False) -> State:
        found: State = {}

        def walk(node: _Node, place: str) -> None:
            content: bytes | str | None = None
            if node.kind == "link":
                content = os.fsdecode(node.contents[-1])
            elif node.kind == "file":
                content = node.contents[0 if least else -1] if dice is None else _torn(node.contents, dice)
            found[place] = content, node.mode
            for name, inner in (names.get(node, {}) if names or least else node.names).items():
                walk(inner, f"{place}/{name}")

        walk(self._root, "")
        return found

    # --- the beginning and the end ---

    def _read(self, path: Path) -> _Node:
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_symlink():
            return _Node("link", 0o777, os.fsencode(path.readlink()))
        if path.is_file():
            return _Node("file", mode, path.read_bytes())
        node = _Node("directory", mode)
        for inner in path.iterdir():
            if inner != self._but and not inner.is_socket():
                node.names[inner.name] = self._read(inner)
        return node

    def _remember(self, node: _Node) -> None:
        self._safe[node] = dict(node.names)
        for inner in node.names.values():
            self._remember(inner)


def _apply(change: _Change, names: dict[_Node, dict[str, _Node]]) -> None:
    for directory, name, node in change.names:
        held = names.setdefault(directory, {})
        if node is None:
            held.pop(name, None)
        else:
            held[name] = node


def _torn(contents: list[bytes], dice: random.Random) -> bytes:
    """One of what was written since the last fsync, perhaps not all of it."""
    if len(contents) == 1:
        return contents[0]
    chosen = dice.choice(contents)
    return chosen if dice.random() < 0.5 else chosen[: dice.randint(0, len(chosen))]


def read(root: Path, but: Path) -> State:
    """What is there."""
    return Disk(root, but).now()


def write(state: State, root: Path, but: Path) -> None:
    """Has exactly that be below `root`; what is below `but` is gone, as all that only memory holds."""
    for path in root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    for place, (content, mode) in state.items():
        path = root / place.lstrip("/")
        if isinstance(content, str):
            path.symlink_to(content)
            continue
        if content is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(content)
        path.chmod(mode)
    but.mkdir(exist_ok=True)
