"""A bundle's files in a directory: written whole, put in place at once.

`write` fills a new directory. `replace` makes a directory hold exactly the bundle: at any moment, also when the power goes, it holds
either all of the old or all of the new. It touches only what Hydria made, which it knows by the list that `replace` leaves there.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from agent.errors import ConflictError, SystemFault
from agent.files import sync

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compiler.bundle import Bundle, File

#: The list, in the directory itself.
MANIFEST = ".hydria.json"

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class Manifest(msgspec.Struct, frozen=True):
    """What `replace` put into a directory: the bundle's digest and the paths of its files."""

    digest: str
    files: tuple[str, ...]


def write(files: Mapping[str, File], directory: Path) -> None:
    """Writes and syncs `files` below `directory`, which holds none of them yet; raises OSError."""
    folders = {directory}
    for path, file in files.items():
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or not parts.parts:
            raise SystemFault(f"a bundle cannot hold a file {path!r}: its path is not relative, or leaves the bundle")
        place = directory / parts
        place.parent.mkdir(parents=True, exist_ok=True)
        folders.update(directory / folder for folder in parts.parents)
        # Nobody else ever sees a secret: the file comes into being with the narrowest mode.
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as output:
            output.write(file.content)
            os.fchmod(output.fileno(), file.mode)
    # All after all are written: the first takes most of the others along.
    for place in (*(directory / path for path in files), *folders):
        sync(place)


def replace(bundle: Bundle, directory: Path) -> None:
    """Makes `directory` hold exactly the bundle, in one step; creates it where there is none.

    Raises ConflictError, with nothing changed, where there is something that Hydria did not make; OSError.
    """
    # What a symbolic link leads to is replaced, not the link.
    directory = directory.resolve()
    existing = directory.exists()
    if existing:
        _refuse_what_is_not_ours(directory)
    elif not directory.parent.is_dir():
        raise ConflictError(f"{directory.parent} is not a directory, so {directory.name} cannot be made in it; make it first")
    staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", suffix=".new", dir=directory.parent))
    try:
        manifest = Manifest(bundle.digest, tuple(sorted(bundle.files)))
        write(bundle.files, staging)
        (staging / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        sync(staging / MANIFEST)
        staging.chmod(directory.stat().st_mode & 0o7777 if existing else 0o777 & ~_umask())
        sync(staging)
        if existing:
            _exchange(staging, directory)
        else:
            staging.rename(directory)
        sync(directory.parent)
    finally:
        # After the exchange, this is what was there before.
        if staging.exists():
            shutil.rmtree(staging)


def read_manifest(directory: Path) -> Manifest | None:
    """What `replace` put into `directory`; None where it never did. Raises ConflictError where the list cannot be read."""
    try:
        return msgspec.json.decode((directory / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise ConflictError(f"{directory / MANIFEST} is not a list that Hydria wrote ({error}); name another directory") from error


def _refuse_what_is_not_ours(directory: Path) -> None:
    if not directory.is_dir():
        raise ConflictError(f"{directory} is a file, not a directory; name another, or remove it")
    if Path.cwd().is_relative_to(directory):
        raise ConflictError(f"{directory} is (or is above) the directory you are in and would be replaced below your feet; name another")
    present = {str(place.relative_to(directory)) for place in directory.rglob("*") if not place.is_dir() or place.is_symlink()}
    manifest = read_manifest(directory)
    foreign = sorted(present - {MANIFEST, *manifest.files} if manifest else present)
    if foreign:
        shown = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise ConflictError(f"{directory} holds what Hydria did not write: {shown}; name another directory, or move that away")


def _exchange(one: Path, other: Path) -> None:
    """Swaps the two names in one step (renameat2(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return
    number = ctypes.get_errno()
    if number in (errno.EBUSY, errno.EXDEV):
        raise ConflictError(f"{other} is a mount point and cannot be replaced as a whole; name a directory inside it")
    if number in (errno.EINVAL, errno.ENOSYS):
        raise ConflictError(f"the file system of {other} cannot exchange two directories in one step; name a new directory")
    raise OSError(number, os.strerror(number), str(other))


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
