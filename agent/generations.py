"""`Generations`: whole configurations of one thing on the disk, numbered, such that what a reboot would load is one that has served.

    generations/<n>/    a configuration: all its files, and `about.json`; whole and synced before it gets its name, never changed afterwards
    loading   →         what the program loads whenever it loads: the program's arguments lead through this link
    current   →         the one that was last known to serve; none before the first
    uploaded  →         one that shall take its place at the next start or reload, where a controller does that in two calls

`load` → (the program is changed) → `commit` or `give_back`. While `loading` and `current` are not the same nobody knows whether `loading`
serves, and after a crash somebody has to find out: `undecided`. Links are replaced by a rename, so each is always one or the other.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from agent import bundle_directory, trial_record
from agent.configuration import directory
from agent.errors import NotFoundError, SystemFault
from agent.files import remove_file, replace_file, sync
from compiler.bundle import File, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: How many are kept, those that are in use included.
KEPT = 10

ABOUT, OUTCOME, REFUSED = "about.json", "outcome.json", "refused"

Link = Literal["loading", "current", "uploaded"]


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a generation is. `digest`: of its files; `made`: when, in seconds since 1970.

    `named`: for files that its text names by other paths than theirs in the generation: name → the path of what was in them when it was
    loaded. `secret`: paths of what nobody is to be shown.
    """

    number: int
    digest: str
    made: float
    contract: Literal["1.0", "2.0"]
    named: dict[str, str] = {}
    secret: list[str] = []
    rolled_back_to: int | None = None

    @property
    def etag(self) -> str:
        """For `ETag` and `If-Match`: no two generations have the same one."""
        return f'"{self.number}-{self.digest[:16]}"'


class Generation:
    """One of them, as it is on the disk. Reading raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.about = msgspec.json.decode((path / ABOUT).read_bytes(), type=About)
        except msgspec.DecodeError as error:
            raise SystemFault(f"{path / ABOUT} cannot be read: {error}") from error

    @property
    def number(self) -> int:
        """Its number, from 1."""
        return self.about.number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Generation) and self.path == other.path and self.about == other.about

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"Generation({self.path})"

    def read(self, path: str) -> bytes:
        """The content of one of its files."""
        return (self.path / path).read_bytes()

    def has(self, path: str) -> bool:
        """Whether it has this file."""
        return (self.path / path).is_file()

    def files(self) -> dict[str, File]:
        """All of them."""
        found = {}
        for place in sorted(self.path.rglob("*")):
            path = str(place.relative_to(self.path))
            # Hidden is what a crash has left of one of ours that was being written.
            if place.is_file() and path not in (ABOUT, OUTCOME, REFUSED) and not path.startswith("."):
                found[path] = File(place.read_bytes(), place.stat().st_mode & 0o777, path in self.about.secret)
        return found


class Generations:
    """Those below `place`. Callers see to it that one thread at a time changes them. Raises OSError.

    `step` is called with a word after everything by which a crash would find something else.
    """

    def __init__(self, place: Path, step: Callable[[str], None] = lambda _: None) -> None:
        self.place = place
        self._all = place / "generations"
        self._step = step

    # --- which there are ---

    def linked(self, link: Link) -> Generation | None:
        """The one that a link leads to."""
        try:
            return Generation(self._all / (self.place / link).readlink().name)
        except FileNotFoundError:
            return None

    @property
    def loading(self) -> Generation:
        """What the program loads. Raises NotFoundError where there is none."""
        found = self.linked("loading")
        if found is None:
            raise NotFoundError(f"there is nothing in {self.place}")
        return found

    @property
    def latest(self) -> Generation:
        """What was uploaded last and not refused. Raises NotFoundError."""
        return self.linked("uploaded") or self.loading

    def exists(self) -> bool:
        """Whether there is one that a program can load."""
        return (self.place / "loading").exists()

    def undecided(self) -> bool:
        """Whether another one served before, and it is not known yet whether `loading` does."""
        current = self.linked("current")
        return current is not None and current != self.linked("loading")

    def get(self, number: int) -> Generation:
        """One by its number. Raises NotFoundError."""
        try:
            return Generation(self._all / str(number))
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no generation {number}") from error

    def numbers(self) -> list[int]:
        """All, in order."""
        return sorted(int(place.name) for place in self._all.iterdir() if place.name.isdigit()) if self._all.is_dir() else []

    def same_as_current(self, generation: Generation) -> Generation:
        """`current` in place of one that says nothing else."""
        current = self.linked("current")
        return current if current is not None and current.about.digest == generation.about.digest else generation

    def previous(self) -> Generation:
        """The one that served before the one that serves. Raises NotFoundError."""
        current = self.linked("current")
        for number in reversed(self.numbers()):
            if current is not None and number < current.number and (self._all / str(number) / OUTCOME).exists():
                found = self.get(number)
                if found.about.digest != current.about.digest:
                    return found
        raise NotFoundError("there is no generation before this one")

    # --- how they come ---

    def stage(
        self,
        files: Mapping[str, File],
        contract: Literal["1.0", "2.0"],
        *,
        named: Mapping[str, str] | None = None,
        rolled_back_to: int | None = None,
        passing: bool = False,
    ) -> Generation:
        """A new one with these files, which nothing leads to. `passing`: it is there to be looked at, and is discarded then."""
        directory(self._all, 0o700)
        self._clean()
        about = About(
            number=max(self.numbers(), default=0) + 1,
            digest=digest_of_generation(files, named),
            made=time.time(),
            contract=contract,
            named=dict(named or {}),
            secret=[path for path, file in files.items() if file.secret],
            rolled_back_to=rolled_back_to,
        )
        made = Path(tempfile.mkdtemp(prefix=".", suffix=".new", dir=self._all))
        bundle_directory.write({**files, ABOUT: File(msgspec.json.encode(about), 0o600)}, made)
        path = self._all / str(about.number)
        made.rename(path)
        if not passing:
            sync(self._all)
            self._step("staged")
        return Generation(path)

    def upload(self, generation: Generation) -> None:
        """It shall be loaded next; at once where there is none."""
        if not self.exists():
            self._link("loading", generation)
        else:
            self._link("uploaded", generation)
        self._step("uploaded")

    def load(self, generation: Generation) -> None:
        """From now on the program loads this one whenever it loads."""
        self._link("loading", generation)
        self._step("loading")

    def commit(self, outcome: bytes = b"{}", *, uploaded: bool = True) -> None:
        """`loading` serves; how that came about is kept with it. Without `uploaded`, what was uploaded is still to be loaded."""
        loading = self.loading
        replace_file(loading.path / OUTCOME, outcome)
        remove_file(loading.path / REFUSED)
        self._step("outcome kept")
        self._link("current", loading)
        self._step("current")
        if uploaded:
            self._unlink("uploaded")
        self._step("committed")
        self._prune()

    def give_back(self, why: str, *, uploaded: bool = True) -> Generation | None:
        """`loading` does not serve: the one that did takes its place. Which that is; None where there is none. `uploaded`: as `commit`."""
        current, loading = self.linked("current"), self.linked("loading")
        if current is None or current == loading:
            return None
        if loading is not None:
            replace_file(loading.path / REFUSED, why.encode(errors="replace"))
            self._step("refused")
        self._link("loading", current)
        self._step("loading the old one")
        if uploaded:
            self._unlink("uploaded")
        self._step("given back")
        return current

    def refuse(self, generation: Generation, why: str) -> None:
        """Keeps, for a person to look at, one that cannot be loaded."""
        replace_file(generation.path / REFUSED, why.encode(errors="replace"))
        self._prune()

    def discard(self, generation: Generation) -> None:
        """Removes one that nothing leads to."""
        if generation.number not in self._in_use():
            shutil.rmtree(generation.path, ignore_errors=True)

    def forget(self) -> None:
        """There is none from now on, for good; what there was is still to be removed."""
        self._unlink("loading")
        self._step("forgotten")

    def remove(self) -> None:
        """Removes all; `loading` first, so that there is none from then on."""
        for link in ("loading", "current", "uploaded"):
            self._unlink(link)
        if self._all.is_dir():
            shutil.rmtree(self._all)

    # --- how ---

    def _link(self, link: Link, generation: Generation) -> None:
        temporary = self.place / f".{link}.new"
        with suppress(FileNotFoundError):
            temporary.unlink()
        temporary.symlink_to(Path(self._all.name, generation.path.name))
        temporary.replace(self.place / link)
        sync(self.place)

    def _unlink(self, link: str) -> None:
        if self.place.is_dir():
            remove_file(self.place / link)

    def _in_use(self) -> set[int]:
        found = (self.linked("loading"), self.linked("current"), self.linked("uploaded"))
        return {generation.number for generation in found if generation is not None}

    def _prune(self) -> None:
        numbers, trial = self.numbers(), trial_record.read(self.place)
        held = {trial.back_to} if trial is not None else set()
        for number in set(numbers[:-KEPT]) - self._in_use() - held:
            shutil.rmtree(self._all / str(number), ignore_errors=True)

    def _clean(self) -> None:
        """Away with what was ended in the middle."""
        for place in self._all.glob(".*.new"):
            shutil.rmtree(place, ignore_errors=True)


def digest_of_generation(files: Mapping[str, File], named: Mapping[str, str] | None = None) -> str:
    """Equal for generations that say the same."""
    digest = hashlib.sha256(digest_of(files).encode())
    digest.update(msgspec.json.encode(sorted((named or {}).items())))
    return digest.hexdigest()
