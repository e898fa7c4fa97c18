"""Network namespaces of a lab, by the path of a file that stands for each: a thread goes in, does something, and comes back."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hydria.lab import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def inside(namespace: Path) -> Iterator[None]:
    """The calling thread is in the namespace: sockets that it makes, threads and programs that it starts, stay there. Raises OSError."""
    with Path("/proc/thread-self/ns/net").open("rb") as before, namespace.open("rb") as there:
        syscalls.enter(there.fileno(), syscalls.NEW_NET)
        try:
            yield
        finally:
            syscalls.enter(before.fileno(), syscalls.NEW_NET)


def of_machine(pid: int) -> Path:
    """That of the machine whose first process this is."""
    return Path(f"/proc/{pid}/ns/net")


def named(pid: int, name: str) -> Path:
    """One that is called so on the machine."""
    return Path(f"/proc/{pid}/root/run/netns/{name}")


def set_sysctl(setting: str, value: str) -> None:
    """/proc/sys/net/`setting` of the calling thread's namespace, where this system lets it be set and has it."""
    path = Path("/proc/sys/net", setting)
    if path.exists():
        path.write_text(value, encoding="ascii")
