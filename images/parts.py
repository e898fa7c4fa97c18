"""What an image is made of, for `images/build`: distributions of Python in an archive, and all parts as a CycloneDX document.

parts.py python ARCHIVE      lines "python<TAB>name<TAB>version"
parts.py sbom PACKAGES       CycloneDX, of such lines and of "debian<TAB>name<TAB>version<TAB>architecture"
"""

from __future__ import annotations

import re
import sys
import tarfile
import uuid
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

_DIST_INFO = re.compile(r"site-packages/([^/]+)-([^/-]+)\.dist-info/METADATA")


def distributions(archive: Path) -> list[tuple[str, str]]:
    """Name and version of each distribution that is installed in a tar archive of a virtual environment."""
    with tarfile.open(archive) as tar:
        return sorted((found[1], found[2]) for name in tar.getnames() if (found := _DIST_INFO.search(name)))


def bill(text: str) -> str:
    """The document. The same lines give the same bytes."""
    heading, *lines = text.splitlines()
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, text))
    bom.metadata.timestamp = None  # type: ignore[assignment]  # the heading has it
    bom.metadata.component = Component(name="hydria-image", type=ComponentType.OPERATING_SYSTEM, description=heading.removeprefix("# "))
    for line in lines:
        kind, name, version, *more = line.split("\t")
        if kind == "debian":
            purl = PackageURL("deb", "debian", name, version, {"arch": more[0]})
        else:
            purl = PackageURL("pypi", None, name.lower().replace("_", "-"), version)
        bom.components.add(Component(name=name, version=version, type=ComponentType.LIBRARY, purl=purl, bom_ref=purl.to_string()))
    # Which part needs which is in the packages themselves; all are the image's.
    bom.register_dependency(bom.metadata.component, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=1)


def main() -> None:
    """Runs the command."""
    verb, path = sys.argv[1], Path(sys.argv[2])
    if verb == "python":
        sys.stdout.writelines(f"python\t{name}\t{version}\n" for name, version in distributions(path))
    else:
        sys.stdout.write(bill(path.read_text()) + "\n")


if __name__ == "__main__":
    main()
