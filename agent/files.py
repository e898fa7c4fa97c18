"""Files that are whole or absent: written under another name, synced, renamed, and the directory synced too."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Makes `path` hold `content`: at any moment, also when the power goes, all of the old or all of the new. Raises OSError.

    The directory must be there. Nobody else ever sees a secret: the file comes into being with the narrowest mode.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as output:
            output.write(content)
            output.flush()
            os.fchmod(output.fileno(), mode)
            os.fsync(output.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def create_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """As `replace_file`, where nothing is yet; raises FileExistsError, with nothing changed, where something is; OSError.

    Whoever is killed meanwhile leaves nothing: the file has no name before it is whole. Where the file system has no files without names
    (open(2), O_TMPFILE), what is left then is a directory `.NAME.…` that nobody else reads.
    """
    try:
        descriptor = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        # EISDIR: a kernel, or a file system below FUSE, that has never heard of it.
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
            raise
        _create_by_name(path, content, mode)
    else:
        with os.fdopen(descriptor, "wb") as output:
            output.write(content)
            output.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
            # It is not to be relative to anything; but only with a descriptor does Python have the kernel follow the link in /proc.
            os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor)
    sync(path.parent)


def _create_by_name(path: Path, content: bytes, mode: int) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as directory:
        whole = Path(directory) / path.name
        replace_file(whole, content, mode)
        # Of all ways to give a file a name, only this one never takes it from another.
        os.link(whole, path)


def remove_file(path: Path) -> bool:
    """Removes `path` for good; whether it was there. Raises OSError."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    sync(path.parent)
    return True


def sync(path: Path) -> None:
    """Has the system write a file's content, or a directory's names, to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
