"""pyroute2, as far as it is needed here.

Its package, when it is imported, imports all that there is in it: five megabytes and a hundred modules that nobody here asks for. So the
package is put in its place without having been run, and its modules are imported one by one.
"""

from __future__ import annotations

import importlib.util
import sys

if "pyroute2" not in sys.modules and (_found := importlib.util.find_spec("pyroute2")) is not None:
    sys.modules["pyroute2"] = importlib.util.module_from_spec(_found)

from pyroute2.iproute import IPRoute  # type: ignore[import-untyped]
from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST  # type: ignore[import-untyped]
from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]
from pyroute2.netlink.generic.ipvs import IPVS_CMD_GET_SERVICE, IPVSSocket, ipvsmsg  # type: ignore[import-untyped]

__all__ = ["IPVS_CMD_GET_SERVICE", "NLM_F_DUMP", "NLM_F_REQUEST", "IPRoute", "IPVSSocket", "NetlinkError", "ipvsmsg"]
