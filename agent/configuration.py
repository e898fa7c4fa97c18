"""`Configuration`: the configuration of one program on the disk, such that what a reboot would load is one that has served.

Three files, each put in place by a rename:

* `current` is what the program loads. The first that is uploaded is put there at once;
* `uploaded`, beside it, is what shall take its place at the next start or reload;
* `served`, beside it, is there while nobody knows yet whether `current` serves: the one that did before.

`take` → (the program is started or reloaded) → `keep` or `give_back`. After a crash `undecided` tells that there was no answer.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from agent.errors import NotFoundError
from agent.files import remove_file, replace_file, sync

if TYPE_CHECKING:
    from pathlib import Path


class Configuration:
    """What is at `current` and beside it. Callers see to it that one thread at a time changes it. Raises OSError."""

    def __init__(self, current: Path, mode: int = 0o600) -> None:
        self.current = current
        self._mode = mode
        self._uploaded = current.with_name(f"{current.name}.uploaded")
        self._served = current.with_name(f"{current.name}.served")
        self._refused = current.with_name(f"{current.name}.refused")

    def exists(self) -> bool:
        """Whether there is one."""
        return self.current.exists()

    def text(self) -> bytes:
        """What was uploaded last and not refused. Raises NotFoundError."""
        try:
            return self._uploaded.read_bytes() if self.exists() and self._uploaded.exists() else self.current.read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no {self.current}") from error

    def upload(self, text: bytes) -> None:
        """Takes in what is to be next, where it is another than there is; the directory must be there."""
        if not self.exists():
            # What a removal that was cut short has left.
            for path in (self._uploaded, self._served):
                remove_file(path)
            replace_file(self.current, text, self._mode)
        elif self.current.read_bytes() == text:
            remove_file(self._uploaded)
        else:
            replace_file(self._uploaded, text, self._mode)

    def refuse(self, text: bytes) -> None:
        """Keeps, for a person to look at, what cannot be used."""
        replace_file(self._refused, text, self._mode)

    def take(self) -> bool:
        """Has the program load what was uploaded, when it loads next. Whether there was something."""
        if not self._uploaded.exists():
            return False
        # What has not served yet either is not worth keeping.
        if not self.undecided():
            replace_file(self._served, self.current.read_bytes(), self._mode)
        self._uploaded.replace(self.current)
        sync(self.current.parent)
        return True

    def undecided(self) -> bool:
        """Whether something else served before, and it is not known yet whether `current` does."""
        return self._served.exists()

    def keep(self) -> None:
        """It serves."""
        remove_file(self._served)

    def give_back(self) -> bool:
        """It does not serve: puts back the one that did. Whether there is one."""
        if not self.undecided():
            return False
        self.refuse(self.current.read_bytes())
        self._served.replace(self.current)
        sync(self.current.parent)
        return True

    def remove(self) -> None:
        """Removes it; `current` first, so that there is none from then on."""
        for path in (self.current, self._uploaded, self._served, self._refused):
            if path.parent.exists():
                remove_file(path)


def directory(path: Path, mode: int = 0o755) -> Path:
    """Makes a directory where it is missing, for good and whatever the umask says; those above it are for everybody. Raises OSError."""
    if not path.is_dir():
        directory(path.parent)
        with suppress(FileExistsError):  # somebody else was quicker
            path.mkdir(mode)
            path.chmod(mode)
        sync(path.parent)
    return path
