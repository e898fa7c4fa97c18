"""keepalived under the agent: VRRP for real between two amphorae in namespaces; LVS as far as a kernel without it goes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.namespaces import switched
from support.polling import eventually
from support.programs import AMPHORA, Programs, amphora, kill_everything

from agent.errors import NotFoundError, RejectedByKeepalived, SystemFault
from agent.haproxies import Listener
from agent.haproxy import Haproxy
from agent.paths import Paths
from agent.services.records import look

if TYPE_CHECKING:
    from collections.abc import Iterator

LB = "6a7b8c9d-0e1f-4a2b-8c3d-4e5f6a7b8c9d"
LISTENER = "7a7b8c9d-0e1f-4a2b-8c3d-4e5f6a7b8c9d"
VIP, VIP6 = "192.0.2.10", "2001:db8::10"
ADDRESSES = ("192.0.2.101", "192.0.2.102")
SIXES = ("2001:db8::101", "2001:db8::102")


def vrrp(programs: Programs, own: str, peer: str, vip: str = VIP, priority: int = 100) -> bytes:
    """As Octavia's template writes it."""
    network = "2001:db8::/64" if ":" in vip else "192.0.2.0/24"
    return f"""vrrp_script check_script {{
    script {programs.paths.vrrp_check_script}
    interval 1
    fall 2
    rise 2
}}

vrrp_instance a1b2c3 {{
    interface eth1
    virtual_router_id 1
    priority {priority}
    nopreempt
    accept
    garp_master_refresh 5
    garp_master_refresh_repeat 2
    advert_int 1
    authentication {{
        auth_type PASS
        auth_pass secret7
    }}

    unicast_src_ip {own}
    unicast_peer {{
        {peer}
    }}

    virtual_ipaddress {{
        {vip}
    }}

    virtual_ipaddress_excluded {{
    }}

    virtual_routes {{
        {network} dev eth1 src {vip} scope link table 1
    }}

    virtual_rules {{
        from {vip}/{128 if ":" in vip else 32} table 1 priority 100
    }}

    track_script {{
        check_script
    }}
}}
""".encode()


def lvs(protocol: str = "UDP", *, namespace: str = "amphora-haproxy", check: str = "") -> bytes:
    return f"""# Configuration for Loadbalancer {LB}
# Configuration for Listener {LISTENER}

net_namespace {namespace}

virtual_server_group ipv4-group {{
    {VIP} 53
}}

virtual_server group ipv4-group {{
    lb_algo wrr
    lb_kind NAT
    protocol {protocol}
    delay_loop 5
    delay_before_retry 5
    retry 3

    # Configuration for Pool p
    real_server 192.0.2.20 53 {{
        weight 1
        uthreshold 98
        MISC_CHECK {{
            misc_path "{check}"
            misc_timeout 5
        }}
    }}
}}
""".encode()


def disabled() -> bytes:
    return f"# Configuration for Loadbalancer {LB}\n# Listener {LISTENER} is disabled\n\nnet_namespace amphora-haproxy\n".encode()


def haproxy_text(programs: Programs) -> bytes:
    return (
        f"global\n  user nobody\n  stats socket {programs.paths.stats_socket(LB)} mode 666 level user\n  maxconn 100\n"
        f"defaults\n  timeout client 5s\nfrontend {LISTENER}\n  mode http\n  bind 0.0.0.0:80\n  http-request return status 200\n"
    ).encode()


@pytest.fixture
def programs() -> Iterator[Programs]:
    with amphora(Haproxy.find()) as made:
        made.namespace.ip("link add eth1 type veth peer name eth9")
        for interface in ("eth1", "eth9"):
            made.namespace.ip(f"link set {interface} up")
        made.namespace.ip(f"address add {ADDRESSES[0]}/24 dev eth1")
        made.namespace.ip(f"address add {SIXES[0]}/64 dev eth1 nodad")
        yield made


def holds(programs: Programs, vip: str = VIP) -> bool:
    return vip in programs.namespace.addresses("eth1")


def serve(programs: Programs) -> None:
    programs.haproxies.upload(AMPHORA, LB, haproxy_text(programs))
    programs.haproxies.start(LB)


def check(programs: Programs) -> int:
    return subprocess.run([programs.paths.vrrp_check_script], check=False).returncode


@pytest.mark.parametrize("vip", [VIP, VIP6])
def test_vrrp_from_upload_to_stop(programs: Programs, vip: str) -> None:
    own, peer = SIXES if vip == VIP6 else ADDRESSES
    text = vrrp(programs, own, peer, vip)
    with pytest.raises(NotFoundError):
        programs.vrrp.start()
    with pytest.raises(NotFoundError):
        programs.vrrp.config()
    programs.vrrp.stop()
    serve(programs)
    programs.vrrp.upload(text)
    assert programs.vrrp.config() == text
    assert (programs.vrrp.should_run(), programs.vrrp.running()) == (False, False)
    assert programs.vrrp.start() == "keepalived started"
    assert (programs.vrrp.should_run(), programs.vrrp.running()) == (True, True)
    assert int(programs.paths.vrrp_pid.read_text()) == programs.services.pid("octavia-keepalived")
    eventually(lambda: holds(programs, vip), "the VIP")
    assert programs.vrrp.start() == "keepalived runs already"
    programs.vrrp.stop()
    assert not holds(programs, vip)
    assert (programs.vrrp.should_run(), programs.vrrp.running()) == (False, False)
    assert programs.vrrp.reload() == "keepalived started"


def test_a_reload_keeps_the_process_and_takes_the_new_text(programs: Programs) -> None:
    serve(programs)
    programs.vrrp.upload(vrrp(programs, *ADDRESSES))
    programs.vrrp.start()
    eventually(lambda: holds(programs), "the VIP")
    pid = programs.services.pid("octavia-keepalived")
    programs.vrrp.upload(vrrp(programs, *ADDRESSES, vip="192.0.2.11"))
    assert holds(programs)
    assert programs.vrrp.reload() == "keepalived reloaded"
    eventually(lambda: holds(programs, "192.0.2.11") and not holds(programs), "the other VIP")
    assert programs.services.pid("octavia-keepalived") == pid


@pytest.mark.parametrize(
    "change", [(b"advert_int", b"advert_innt"), (b"        192.0.2.102", b"        192.0.2.1021"), (b"}\n\n", b"\n\n")]
)
def test_a_text_that_keepalived_does_not_take(programs: Programs, change: tuple[bytes, bytes]) -> None:
    good = vrrp(programs, *ADDRESSES)
    programs.vrrp.upload(good)
    with pytest.raises(RejectedByKeepalived):
        programs.vrrp.upload(good.replace(*change, 1))
    assert programs.vrrp.config() == good


def test_it_comes_back_and_is_taken_over(programs: Programs) -> None:
    serve(programs)
    programs.vrrp.upload(vrrp(programs, *ADDRESSES))
    programs.vrrp.start()
    first = programs.services.pid("octavia-keepalived")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: programs.services.pid("octavia-keepalived") not in (None, first), "another one")
    eventually(lambda: holds(programs), "the VIP")
    second = programs.services.pid("octavia-keepalived")
    after = programs.restarted()
    try:
        assert after.restore() == []
        assert after.services.pid("octavia-keepalived") == second
        after.services.close()
        kill_everything(after.paths)
        again = after.restarted()
        assert again.restore() == []
        eventually(lambda: again.vrrp.running() and holds(again), "the VIP after a reboot")
        again.vrrp.stop()
        again.services.close()
    finally:
        after.services.close()


def test_a_reload_that_nobody_saw_the_end_of(programs: Programs) -> None:
    serve(programs)
    programs.vrrp.upload(vrrp(programs, *ADDRESSES))
    programs.vrrp.start()
    programs.vrrp.upload(vrrp(programs, *ADDRESSES, vip="192.0.2.11"))
    programs.vrrp._one.configuration.take()
    after = programs.restarted()
    try:
        assert after.restore() == []
        eventually(lambda: holds(after, "192.0.2.11"), "the new VIP")
        assert not after.vrrp._one.configuration.undecided()
    finally:
        after.services.close()


def test_one_that_does_not_survive_what_it_is_given(programs: Programs) -> None:
    """The interface went away between the check and the start: what ran before runs again."""
    serve(programs)
    good = vrrp(programs, *ADDRESSES)
    programs.vrrp.upload(good)
    programs.vrrp.start()
    eventually(lambda: holds(programs), "the VIP")
    # Something that ends at once, as keepalived does when it cannot go on.
    programs.vrrp._one.configuration.upload(b"net_namespace there-is-no-such-one\n" + good.replace(b"eth1", b"eth7"))
    before = programs.vrrp._one.configuration.current.read_bytes()
    with pytest.raises(RejectedByKeepalived):
        programs.vrrp.reload()
    assert programs.vrrp.config() == before == good
    eventually(lambda: programs.vrrp.running() and holds(programs), "the VIP again")


def test_what_hinders_the_way_back_does_not_hide_why_it_was_needed(programs: Programs) -> None:
    serve(programs)
    good = vrrp(programs, *ADDRESSES)
    programs.vrrp.upload(good)
    programs.vrrp.start()
    current = programs.paths.vrrp_conf
    refused = current.with_name(f"{current.name}.refused")
    refused.mkdir()
    (refused / "in-the-way").touch()
    programs.vrrp._one.configuration.upload(b"net_namespace there-is-no-such-one\n" + good.replace(b"eth1", b"eth7"))
    with pytest.raises(SystemFault) as told:
        programs.vrrp.reload()
    assert "keepalived does not go on with this configuration" in str(told.value)
    assert "what ran before cannot be brought back: [Errno 21] Is a directory: " in str(told.value)


def test_the_vrrp_check_follows_what_balances(programs: Programs) -> None:
    programs.scripts.install()
    assert check(programs) != 0, "nothing here that balances"
    serve(programs)
    assert check(programs) == 0
    programs.haproxies.reload(LB)
    assert check(programs) == 0
    master = programs.services.pid(f"haproxy-{LB}")
    assert master is not None
    programs.services.close()
    os.kill(master, signal.SIGKILL)
    eventually(lambda: (seen := look(master)) is None or seen.state == "Z", "its end")
    os.waitpid(master, 0)
    assert check(programs) != 0
    after = programs.restarted()
    after.restore()
    assert check(after) == 0
    after.haproxies.stop(LB)
    assert check(after) != 0
    after.services.close()


def test_the_vrrp_check_is_not_fooled_by_a_number_that_is_somebody_else_s(programs: Programs) -> None:
    serve(programs)
    programs.paths.haproxy_pid(LB).write_text(f"{os.getpid()}\n")
    assert check(programs) != 0
    programs.paths.haproxy_pid(LB).write_text("")
    assert check(programs) != 0


def test_a_dead_haproxy_moves_the_vip() -> None:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hydria-")))
        directory.chmod(0o755)
        namespaces = stack.enter_context(switched("first", "second"))
        sides = []
        for number, namespace in enumerate(namespaces):
            namespace.ip(f"address add {ADDRESSES[number]}/24 dev eth1")
            root = directory / namespace.label
            root.mkdir()
            paths = Paths(root / "octavia", root / "octavia" / "certs", root / "interfaces", root / "run", root / "state")
            side = Programs(paths, namespace, Haproxy.find())
            stack.callback(kill_everything, paths)
            stack.callback(side.services.close)
            sides.append(side)
            serve(side)
            side.vrrp.upload(vrrp(side, ADDRESSES[number], ADDRESSES[1 - number], priority=100 - number))
            side.vrrp.start()
            if number == 0:
                eventually(lambda: holds(sides[0]), "the VIP at the first")
        first, second = sides
        assert not holds(second)
        # Nobody brings it back: that would be done before VRRP notices.
        first.services.close()
        master = first.services.pid(f"haproxy-{LB}")
        assert master is not None
        os.kill(master, signal.SIGKILL)
        os.waitpid(master, 0)
        eventually(lambda: holds(second) and not holds(first), "the takeover")


def test_lvs_configurations(programs: Programs) -> None:
    text = lvs(check=f"{programs.paths.udp_check_script} 192.0.2.20 53")
    for call in (programs.lvs.config, programs.lvs.start, programs.lvs.reload, programs.lvs.stop):
        with pytest.raises(NotFoundError, match=LISTENER):
            call(LISTENER)
    programs.lvs.delete(LISTENER)
    assert programs.lvs.ids() == []
    programs.lvs.upload(LISTENER, text)
    assert programs.lvs.config(LISTENER) == text
    assert programs.lvs.ids() == [LISTENER]
    assert programs.lvs.listeners() == [Listener("OFFLINE", LISTENER, "UDP")]
    assert programs.paths.udp_check_script.stat().st_mode & 0o777 == 0o755
    programs.lvs.upload(LISTENER, lvs("SCTP", check="amphora-health-checker sctp -t 3 192.0.2.20 53"))
    with pytest.raises(RejectedByKeepalived):
        programs.lvs.upload(LISTENER, text.replace(b"lb_kind NAT", b"lb_kin NAT"))
    assert b"SCTP" in programs.lvs.config(LISTENER)
    programs.lvs.stop(LISTENER)
    programs.lvs.delete(LISTENER)
    assert programs.lvs.ids() == []


def test_a_kernel_without_ipvs_is_not_the_caller_s_fault(programs: Programs) -> None:
    programs.lvs.upload(LISTENER, lvs(namespace=programs.namespace.name, check=f"{programs.paths.udp_check_script} 192.0.2.20 53"))
    if Path("/proc/net/ip_vs").exists():
        assert programs.lvs.start(LISTENER) == f"keepalived for listener {LISTENER} started"
        return
    with pytest.raises(SystemFault, match=r"the kernel has no IPVS \(ip_vs\), .*\n.*\n") as told:
        programs.lvs.start(LISTENER)
    assert told.value.status == 500
    assert programs.lvs.listeners() == [Listener("OFFLINE", LISTENER, "UDP")]


def test_a_disabled_lvs_listener_runs_and_is_offline(programs: Programs) -> None:
    """As far as a kernel without IPVS goes: keepalived has nothing to balance."""
    programs.lvs.upload(LISTENER, disabled())
    assert programs.lvs.start(LISTENER) == f"keepalived for listener {LISTENER} started"
    assert programs.lvs.running(LISTENER)
    assert programs.lvs.listeners() == [Listener("OFFLINE", LISTENER, "UDP")]
    assert check(programs) == 0
    assert programs.lvs.reload(LISTENER) == f"keepalived for listener {LISTENER} runs already"
    programs.lvs.upload(LISTENER, disabled() + b"\n")
    assert programs.lvs.reload(LISTENER) == f"keepalived for listener {LISTENER} reloaded"
    programs.lvs.delete(LISTENER)
    assert not programs.lvs.running(LISTENER)
    assert programs.services.programs() == ()


def test_the_udp_check(programs: Programs) -> None:
    programs.scripts.install()

    def up() -> bool:
        with programs.namespace.entered():
            return (
                subprocess.run([programs.paths.udp_check_script, ADDRESSES[0], "53"], stderr=subprocess.DEVNULL, check=False).returncode
                == 0
            )

    assert not up()
    with programs.namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((ADDRESSES[0], 53))
        assert up()
