"""Secrets from files: turns the references of a graph (`default_tls_container_ref` and its kin) into what the compiler takes.

A reference is looked up in this order:

1. `file:///absolute/path` or `file:path` (relative to the graph's directory) is that file or directory, wherever it is;
2. `DIR/secrets.yaml`, a mapping of references to paths relative to DIR (or `file:` URLs);
3. by name below DIR: the reference itself or, of a URL such as Barbican's `https://…/v1/containers/<uuid>`, its last component. The name
   stands for the file of that name, then with `.pem`, `.p12`, `.pfx`, then the directory of that name.

A file is a PEM bundle, PKCS#12 or whatever the field takes; its passphrase, if any, is in `<name>.passphrase` beside it. A directory holds
`certificate`, `private_key`, `intermediates` and `private_key_passphrase` (or `passphrase`), each with or without .pem, .crt or .key.

Names never lead out of DIR, be it by `..` or by symbolic links. What is not found is not an error here but a reason, which the compiler
turns into a Problem of the field that refers to it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import yaml

from compiler.secrets import Secret, Secrets

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The map file in DIR.
MAP = "secrets.yaml"

#: Bytes. A chain of certificates takes some 10 KiB, a large revocation list some 100.
LIMIT = 1024 * 1024

_FILE_SUFFIXES = ("", ".pem", ".p12", ".pfx")
_PART_SUFFIXES = ("", ".pem", ".crt", ".key")
_PARTS = {
    "certificate": "certificate",
    "private_key": "private_key",
    "intermediates": "intermediates",
    "private_key_passphrase": "private_key_passphrase",
    "passphrase": "private_key_passphrase",
}


def resolve(references: Iterable[str], directory: Path | None, base: Path) -> Secrets:
    """The secrets that `references` name, below `directory` (DIR above, if there is one); `base` is where relative `file:` URLs begin.

    Never raises for what is missing, unreadable or hostile: see `Secrets.reasons`.
    """
    folder = _Folder(directory) if directory is not None else None
    secrets = Secrets()
    for reference in references:
        try:
            secrets[reference] = _resolve(reference, folder, base)
        except _NotFoundError as error:
            secrets.reasons[reference] = str(error)
    return secrets


class _NotFoundError(Exception):
    """Why a reference cannot be resolved, as a part of a sentence."""


class _Folder:
    """DIR, with its map."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.mapping: dict[str, str] = {}
        self.fault: str | None = None
        if os.path.lexists(self.path / MAP):
            try:
                self._read_map()
            except _NotFoundError as error:
                self.fault = str(error)

    def _read_map(self) -> None:
        place = self.path / MAP
        try:
            mapping: Any = yaml.safe_load(_read(place))
        except (yaml.YAMLError, RecursionError) as error:
            raise _NotFoundError(f"{place} is not YAML: {' '.join(str(error).split())}") from error
        if mapping is None:
            return
        if not isinstance(mapping, dict) or not all(isinstance(word, str) for pair in mapping.items() for word in pair):
            raise _NotFoundError(f"{place} must map references to paths, as in `web: certificates/web.pem`")
        self.mapping = mapping

    def place(self, name: str) -> Path:
        """`name` below this directory; it need not exist. Raises _NotFoundError where it would be elsewhere."""
        try:
            place = (self.path / name).resolve()
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links, before Python 3.13
            raise _NotFoundError(f"{name!r} is not a name that a file can have") from error
        if place == self.path or not place.is_relative_to(self.path):
            raise _NotFoundError(f"{name!r} leads out of {self.path}; use a file: URL for what is elsewhere")
        return place


def _resolve(reference: str, folder: _Folder | None, base: Path) -> Secret:
    if reference.startswith("file:"):
        return _at(_from_url(reference, base))
    if folder is None:
        raise _NotFoundError("no directory of secrets was given; use --secrets DIR, or a file: URL")
    if folder.fault:
        raise _NotFoundError(folder.fault)
    mapped = folder.mapping.get(reference)
    if mapped is not None and mapped.startswith("file:"):
        return _at(_from_url(mapped, folder.path))
    if mapped is not None:
        return _at(folder.place(mapped), folder)
    name = _name(reference)
    candidates = [name + suffix for suffix in _FILE_SUFFIXES]
    for place in map(folder.place, candidates):
        if _is_file(place):
            return _from_file(place, folder.place(f"{name}.passphrase"))
    if _is_directory(folder.place(name)):
        return _from_directory(folder.place(name), folder)
    raise _NotFoundError(f"{folder.path} holds none of {', '.join(candidates)} or {name}/")


def _name(reference: str) -> str:
    """The name that a reference stands for: itself or, of a URL, the last component of its path."""
    name = reference
    if "://" in reference:
        try:
            name = unquote(urlsplit(reference).path).rstrip("/").rpartition("/")[2]
        except ValueError as error:
            raise _NotFoundError("it is not a URL that can be understood") from error
    if not name:
        raise _NotFoundError("it holds no name to look for")
    return name


def _from_url(url: str, base: Path) -> Path:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _NotFoundError("it is not a URL that can be understood") from error
    if parts.netloc not in ("", "localhost"):
        raise _NotFoundError(f"a file: URL names a file of this machine, not of {parts.netloc!r}; write file:///absolute/path")
    path = unquote(parts.path)
    if not path or "\0" in path:
        raise _NotFoundError("a file: URL needs a path: file:///absolute/path, or file:path relative to the graph")
    return base / path


def _at(place: Path, folder: _Folder | None = None) -> Secret:
    """The secret at exactly this place, a file or a directory; all of it below `folder`, if that is given."""
    if _is_directory(place):
        return _from_directory(place, folder)
    return _from_file(place, _confined(place.with_name(f"{place.name}.passphrase"), folder))


def _confined(place: Path, folder: _Folder | None) -> Path:
    return folder.place(str(place)) if folder is not None else place


def _from_file(place: Path, passphrase: Path) -> Secret:
    parts = {"bundle": _read(place)}
    if _is_file(passphrase):
        parts["private_key_passphrase"] = _line(_read(passphrase))
    return Secret(parts)


def _from_directory(place: Path, folder: _Folder | None) -> Secret:
    parts: dict[str, bytes] = {}
    for name, part in _PARTS.items():
        for file in (_confined(place / (name + suffix), folder) for suffix in _PART_SUFFIXES):
            if _is_file(file):
                content = _read(file)
                parts.setdefault(part, _line(content) if part == "private_key_passphrase" else content)
                break
    if not parts:
        raise _NotFoundError(f"the directory {place} holds none of {', '.join(_PARTS)}")
    return Secret(parts)


def _is_directory(place: Path) -> bool:
    # Not Path.is_dir, which raises where a name is too long or a directory may not be searched.
    return os.path.isdir(place)  # noqa: PTH112


def _is_file(place: Path) -> bool:
    """Whether there is anything but a directory; what it is, `_read` finds out. What may not be looked at is there, for `_read` to say so."""
    try:
        return not stat.S_ISDIR(place.stat().st_mode)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False


def _read(place: Path) -> bytes:
    """All of a regular file of at most LIMIT bytes."""
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        with os.fdopen(os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _NotFoundError(f"{place} is not a regular file")
            content = file.read(LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _NotFoundError(f"{place} cannot be read: {reason}") from error
    if len(content) > LIMIT:
        raise _NotFoundError(f"{place} is larger than {LIMIT // 1024} KiB")
    return content


def _line(content: bytes) -> bytes:
    """A passphrase without the end of line that editors add."""
    return content.removesuffix(b"\n").removesuffix(b"\r")
