"""The first boot of an image: what the cloud's drive says becomes files of this machine, once for each machine that the cloud makes of the image.

A machine whose cloud has replaced settings or certificates since keeps them: the drive says for ever what it said when the machine was made.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agent import at_rest, config_drive
from agent.clock import Clock, SystemClock, wait_until
from agent.config_drive import Drive, GivenFile
from agent.configuration import directory
from agent.errors import NotFoundError, SystemFault
from agent.files import remove_file, replace_file
from agent.management_network import name_servers, network_files
from agent.options import Options
from agent.processes import LocalRunner
from agent.settings import LiveSettings, parse
from agent.units import unit_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.processes import Runner

#: Names of the file system, as Nova writes it (ISO 9660) and in VFAT.
LABELS = ("config-2", "CONFIG-2")
_BY_LABEL = Path("/dev/disk/by-label")
#: Seconds to wait for the drive: the kernel may still be looking for disks.
_PATIENCE = 90.0
_MOUNTING = 30.0

_NETWORK = "etc/systemd/network"
_NETWORK_PREFIX = "10-"


class FirstBoot:
    """Of the machine whose files are below `root`, where `state` is a directory that survives reboots."""

    def __init__(self, root: Path, state: Path) -> None:
        self._root = root
        self._told = state / "instance"

    @property
    def instance(self) -> str | None:
        """The machine for which it was done; None where it was not."""
        try:
            return self._told.read_text()
        except FileNotFoundError:
            return None

    def apply(self, drive: Drive) -> list[str]:
        """Has this be the machine that the drive tells of; what was done, in words. Nothing for the one that it is already.

        What was ended in the middle is done again as a whole. Raises InvalidRequest, OSError.
        """
        if drive.instance == self.instance:
            return []
        done = [*self._network(drive), *self._identity(drive)]
        for file in drive.files:
            self._put(file)
            done.append(file.path)
        directory(self._told.parent, 0o700)
        replace_file(self._told, drive.instance.encode())
        return [*done, *(f"not done: {what}" for what in drive.ignored)]

    def _network(self, drive: Drive) -> Iterable[str]:
        files = network_files(drive.network)
        place = self._root / _NETWORK
        for old in place.glob(f"{_NETWORK_PREFIX}*.network"):
            if old.name not in files:
                remove_file(old)
        for name, text in files.items():
            self._put(GivenFile(f"/{_NETWORK}/{name}", text, 0o644))
            yield f"/{_NETWORK}/{name}"
        if servers := name_servers(drive.network):
            self._put(GivenFile("/etc/resolv.conf", "".join(f"nameserver {server}\n" for server in servers).encode(), 0o644))
            yield "/etc/resolv.conf"

    def _identity(self, drive: Drive) -> Iterable[str]:
        if drive.hostname:
            self._put(GivenFile("/etc/hostname", f"{drive.hostname}\n".encode(), 0o644))
            names = " ".join(dict.fromkeys([drive.hostname, drive.hostname.partition(".")[0]]))
            hosts = f"127.0.0.1 localhost\n127.0.1.1 {names}\n::1 localhost ip6-localhost ip6-loopback\n"
            self._put(GivenFile("/etc/hosts", hosts.encode(), 0o644))
            yield f"hostname {drive.hostname}"
        # Keys are of use to nobody where no daemon takes them.
        if drive.keys and (self._root / "usr/sbin/sshd").exists():
            directory(self._root / "root/.ssh", 0o700)
            self._put(GivenFile("/root/.ssh/authorized_keys", "".join(f"{key}\n" for key in drive.keys).encode()))
            yield "/root/.ssh/authorized_keys"
        zone = Path("usr/share/zoneinfo", drive.timezone or "")
        if drive.timezone and (self._root / zone).is_file():
            local = self._root / "etc/localtime"
            local.unlink(missing_ok=True)
            local.symlink_to(Path("/", zone))
            yield f"time zone {drive.timezone}"

    def _put(self, file: GivenFile) -> None:
        path = self._root / file.path.lstrip("/")
        path.parent.mkdir(0o755, parents=True, exist_ok=True)
        replace_file(path, file.content, file.mode)


def find_drive(clock: Clock, by_label: Path = _BY_LABEL, patience: float = _PATIENCE) -> Path:
    """The device, which may not be there yet. Raises NotFoundError when it does not come."""
    places = [by_label / label for label in LABELS]
    if not wait_until(lambda: any(place.exists() for place in places), patience, clock):
        raise NotFoundError(f"there is no drive of the cloud's ({LABELS[0]}): Octavia's controller has Nova give each amphora one")
    return next(place for place in places if place.exists())


@contextmanager
def mounted(device: Path, place: Path, runner: Runner) -> Iterator[Path]:
    """The drive's files, below `place`, to be read only. Raises SystemFault."""
    directory(place, 0o700)
    done = runner.run(["mount", "-o", "ro,nodev,nosuid,noexec", str(device), str(place)], timeout=_MOUNTING)
    if done.code != 0:
        raise SystemFault(f"{device} cannot be mounted: {done.output.strip()}")
    try:
        yield place
    finally:
        runner.run(["umount", str(place)], timeout=_MOUNTING)


def read_drive(run: Path, runner: Runner) -> Drive:
    """What the cloud's drive says. Raises NotFoundError where there is none, InvalidRequest, SystemFault, OSError."""
    with mounted(find_drive(SystemClock()), run / "config-drive", runner) as place:
        return config_drive.read(place)


def become(options: Options, program: Path) -> list[str]:
    """All of it, on this machine: what was done, in words. Raises NotFoundError at the very first boot without a drive; see `read_drive`."""
    runner = LocalRunner()
    boot = FirstBoot(Path("/"), options.state_dir)
    directory(options.run_dir, 0o755)
    try:
        drive = read_drive(options.run_dir, runner)
    except NotFoundError as error:
        if boot.instance is None:
            raise
        # What it would say has been done long ago.
        return [str(error)]
    done = [*protect(drive, options), *boot.apply(drive)]
    if drive.hostname:
        socket.sethostname(drive.hostname)
    if _units(options, program):
        runner.run(["systemctl", "daemon-reload"], timeout=_MOUNTING)
        done.append("units for these settings")
    return done


def protect(drive: Drive, options: Options) -> list[str]:
    """Has the directories in which keys and settings are be encrypted, where they are still empty; at each boot, has them be readable.

    What is not as it should be, in words. The key follows from the agent's own first certificate, which nobody has but the drive. Raises OSError
    where another machine's key is wanted.
    """
    given = {Path(file.path): file.content for file in drive.files}
    settings = parse(given.get(options.octavia_conf, b"").decode())
    secret = given.get(settings.agent_server_cert)
    if not secret:
        return [f"not encrypted: the drive has no {settings.agent_server_cert}, of which the key would follow"]
    wanted = {options.octavia_conf.parent, settings.agent_server_cert.parent, settings.base_path, settings.base_cert_dir}
    told = []
    for place in sorted(path for path in wanted if not wanted & set(path.parents)):
        place.mkdir(0o755, parents=True, exist_ok=True)
        try:
            if not at_rest.encrypt(place, at_rest.unlock(place, secret, drive.instance)):
                told.append(f"not encrypted: {place}, which has been in use")
        except at_rest.NotEncryptableError as error:
            told.append(f"not encrypted: {place}: {error.strerror}")
    return told


def _units(options: Options, program: Path) -> bool:
    """Has the agent's units be those for its settings; whether they were others."""
    if not options.octavia_conf.exists():
        return False
    settings = LiveSettings(options.octavia_conf).current
    texts = {options.units / name: text for name, text in unit_texts(options, settings, program).items()}
    changed = {path: text for path, text in texts.items() if not (path.exists() and path.read_bytes() == text)}
    for path, text in changed.items():
        replace_file(path, text, 0o644)
    return bool(changed)
