"""The inside of a disk of the image."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def root_of(disk: Path, place: Path) -> Iterator[Path]:
    """The root file system of a raw disk of the image, mounted at `place`."""
    start = subprocess.run(["partx", "-sg", "-o", "START", "-n", "2", disk], check=True, capture_output=True, text=True).stdout
    place.mkdir()
    subprocess.run(["mount", "-o", f"loop,offset={int(start) * 512}", disk, place], check=True)
    try:
        yield place
        # Whoever has made a name space of mounts in the meantime (a build of an image, say) has this one in it: the disk is not done with.
        subprocess.run(["sync", "-f", place], check=True)
    finally:
        subprocess.run(["umount", place], check=True)
