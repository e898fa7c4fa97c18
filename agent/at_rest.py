"""Secrets at rest: directories whose files the kernel encrypts (fscrypt: Documentation/filesystems/fscrypt.rst), with a key that is on no disk of ours.

The key follows from a secret that the cloud's drive gives at each boot. So keys of certificates survive a reboot and a power cut, and who gets
hold of the machine's disk, or of a copy of it, without the drive has nothing of them.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# <linux/fscrypt.h>: requests, and the structs that they take.
_SET_POLICY, _GET_POLICY, _ADD_KEY = 0x800C6613, 0xC0096616, 0xC0506617
_KEY = struct.Struct("=II32s II32x 64s")
_BY_IDENTIFIER = 2
_POLICY = struct.Struct("=BBBBBxxx16s")
_POLICY_VERSION, _AES_256_XTS, _AES_256_CTS, _PADDED_32 = 2, 1, 4, 3
#: What a file system or a kernel says that does not have it.
_UNKNOWN = {errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOPKG}


class NotEncryptableError(OSError):
    """The file system, or the kernel, cannot do it."""


def unlock(place: Path, secret: bytes, context: str) -> bytes:
    """Lets the file system that `place` is in have the key that follows from a secret, for a purpose; what the key is called there.

    Until the file system is unmounted; once more is fine. Raises NotEncryptableError, OSError.
    """
    raw = hashlib.sha512(b"Hydria at rest\0" + context.encode() + b"\0" + secret).digest()
    request = bytearray(_KEY.pack(_BY_IDENTIFIER, 0, b"", len(raw), 0, raw))
    _ask(place, _ADD_KEY, request)
    identifier: bytes = _KEY.unpack(request)[2][:16]
    return identifier


def encrypt(place: Path, identifier: bytes) -> bool:
    """Has all that comes into a directory be encrypted by a key; whether that is so: not where it is not empty and was not before.

    Raises NotEncryptableError; OSError, also where it is encrypted by another key.
    """
    if not is_encrypted(place) and any(place.iterdir()):
        return False
    _ask(place, _SET_POLICY, bytearray(_POLICY.pack(_POLICY_VERSION, _AES_256_XTS, _AES_256_CTS, _PADDED_32, 0, identifier)))
    return True


def is_encrypted(place: Path) -> bool:
    """Whether what is in a directory is encrypted. Raises NotEncryptableError, OSError."""
    request = bytearray(struct.pack("=Q", _POLICY.size) + bytes(_POLICY.size))
    try:
        _ask(place, _GET_POLICY, request)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return False
        raise
    return True


def _ask(place: Path, request: int, argument: bytearray) -> None:
    with _opened(place) as directory:
        try:
            fcntl.ioctl(directory, request, argument)
        except OSError as error:
            if error.errno in _UNKNOWN:
                raise NotEncryptableError(error.errno, error.strerror, str(place)) from error
            raise


@contextmanager
def _opened(place: Path) -> Iterator[int]:
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
