"""`Certificates`: the certificates, CRLs and lists of certificates of load balancers, as files that HAProxy reads."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

from agent.configuration import directory
from agent.errors import NotFoundError
from agent.files import remove_file, replace_file, sync

if TYPE_CHECKING:
    from agent.locks import Locks
    from agent.paths import Paths


class Certificates:
    """Ids and names have been through `agent.identifiers`. All but the reading raises OSError.

    `locks` has the lock of each load balancer, which whoever changes something of it holds.
    """

    def __init__(self, paths: Paths, locks: Locks) -> None:
        self._paths = paths
        self._locks = locks

    def put(self, lb: str, name: str, content: bytes) -> None:
        """Makes one, or replaces it; nobody but root ever reads it."""
        path = self._paths.certificate(lb, name)
        with self._locks(lb):
            directory(self._paths.certificates, 0o700)
            directory(path.parent, 0o700)
            replace_file(path, content, 0o600)

    def md5(self, lb: str, name: str) -> str:
        """The MD5 of its content in hexadecimal digits, by which a controller knows what is here. Raises NotFoundError."""
        try:
            content = self._paths.certificate(lb, name).read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no certificate {name} of load balancer {lb}") from error
        return hashlib.md5(content, usedforsecurity=False).hexdigest()

    def delete(self, lb: str, name: str) -> None:
        """Removes one; fine where it is not there."""
        path = self._paths.certificate(lb, name)
        with self._locks(lb):
            if path.parent.is_dir():
                remove_file(path)

    def delete_all(self, lb: str) -> None:
        """Removes all of a load balancer's; fine where there are none."""
        place = self._paths.certificates / lb
        with self._locks(lb):
            if place.is_dir():
                shutil.rmtree(place)
                sync(place.parent)
