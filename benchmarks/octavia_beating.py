"""Run by the Python of `.venv/octavia`: CPU time of beats of Octavia's own sender. Arguments: base path, id of the load balancer, rounds.

It waits for a line on standard input before each beat and answers with the seconds that it took and the size of the message.
"""

from __future__ import annotations

import json
import sys
import time

from octavia.amphorae.backends.health_daemon import health_daemon, status_message
from octavia.common import config
from oslo_config import cfg


def main() -> None:
    base, lb = sys.argv[1:]
    cfg.CONF([], project="octavia", default_config_files=[])
    config.cfg.CONF.set_override("base_path", base, "haproxy_amphora")
    config.cfg.CONF.set_override("amphora_id", lb, "amphora_agent")
    health_daemon.util.get_loadbalancers = lambda: [lb]
    health_daemon.util.is_lb_running = lambda _: True
    health_daemon.util.get_lvs_listeners = list
    for _ in sys.stdin:
        begin = time.process_time()
        datagram = status_message.wrap_envelope(health_daemon.build_stats_message(), "key")
        sys.stdout.write(json.dumps([time.process_time() - begin, len(datagram)]) + "\n")
        sys.stdout.flush()


main()
