"""The `hydria` command.

Rules of this package:

* One file a verb. A verb is imported when it is used, so that `hydria --help` is instant; what it needs (rich, yaml) likewise.
* Exit codes: 0 fine; 1 the graph has problems; 2 the command was used wrongly; 3 the system failed (HAProxy missing, disk full, no permission).
  Ended by a signal: 128 and its number, as shells have it; `run` ends well with 0, because that is how it is meant to end.
* Standard output holds what was asked for and nothing else; what there is to say about it goes to standard error.
* `--json` on every verb: standard output is then JSON, one document (`run`: one a line), also when something failed.
* Colour and tables only on a terminal, and never with NO_COLOR. No control character of the input reaches a terminal.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import NoReturn

import click

from hydria.cli.late import Late
from hydria.cli.output import Output

#: verb → what it does, in a line. Each is the function of the same name in the module of the same name (`import_` in `import_`).
VERBS = {
    "agent": "Look at a remote agent: what it is, what it carries, how it fares.",
    "certs": "Make the certificates by which agents and those who drive them know each other.",
    "check": "Say what is wrong with a load-balancer graph, HAProxy's own complaints included.",
    "completion": "Print what makes a shell complete this command.",
    "confirm": "Keep what `hydria try` has brought into force.",
    "drain": "Give a member no new clients, and tell when those that it has are gone.",
    "explain": "Say which object caused a rendered line, and which lines an object caused.",
    "import": "Join what `openstack loadbalancer …` and the Octavia API print into one graph.",
    "lab": "A load balancer on this machine as a cloud would have it: a pair of amphorae, members, clients, and what can go wrong.",
    "plan": "Say what changes, and for whom, when a load-balancer graph takes the place of another, here or at an agent.",
    "push": "Have agents serve a load-balancer graph, without a reload where that can be.",
    "render": "Turn a load-balancer graph into configuration files.",
    "rollback": "Have agents serve what they served before.",
    "run": "Run HAProxy with a load-balancer graph on this machine, and watch its traffic.",
    "schema": "Print the JSON Schema of a load-balancer graph.",
    "stats": "Say what listeners, pools and members do and have done: of a HAProxy here, or of an agent.",
    "status": "Say what agents serve, and how it fares.",
    "top": "Show what listeners, pools and members do, again and again.",
    "try": "Have agents serve a load-balancer graph for a while; they take it back unless it is confirmed.",
    "web": "Show a browser what agents serve, how it fares and what was changed.",
    "where": "Say where a client's request goes: which listener, policy, pool and member, and why.",
}

FINE, PROBLEMS, USAGE, SYSTEM = 0, 1, 2, 3

#: The environment variable by which a shell asks for completions: click's own way.
COMPLETION = "_HYDRIA_COMPLETE"


def _show_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - it takes longer than all the rest of --help

        click.echo(f"hydria {version('hydria')}")
        ctx.exit()


@click.group(
    cls=Late,
    listed=VERBS,
    called="verb",
    subcommand_metavar="VERB …",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A graph is a load balancer as the Octavia v2 API creates or shows it, in JSON or YAML. Exit codes: 0 fine, 1 problems, "
    "2 usage, 3 the system failed.",
)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_show_version, help="Show the version and exit.")
def hydria() -> None:
    """Turn load-balancer graphs into HAProxy configurations: checked, explained, run."""


def main() -> NoReturn:
    """The command: runs the verb that the arguments name and exits as the rules above say."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    _have_streams()
    if COMPLETION in os.environ:  # a shell wants to know how a line goes on
        from click.shell_completion import shell_complete  # noqa: PLC0415 - needed only then

        try:
            sys.exit(shell_complete(hydria, {}, "hydria", COMPLETION, os.environ[COMPLETION]))
        except (KeyError, ValueError) as error:
            sys.exit(f"hydria: {COMPLETION} is for shells, which set COMP_WORDS and COMP_CWORD besides ({error!r})")
    sys.exit(_run(sys.argv[1:], Output()))


def _have_streams() -> None:
    """A stream that whoever starts the command has closed (`>&-`) is one in which nothing is written or read."""
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - for as long as the process
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def _end(number: int, _frame: object) -> NoReturn:
    """Leaves through every context manager, so that no process and no temporary secret is left behind."""
    raise SystemExit(128 + number)


def _run(arguments: list[str], output: Output) -> int:
    try:
        # Not click's own `main`, which ends with 1 when a reader has enough.
        with hydria.make_context("hydria", arguments, obj=output) as context:
            code: int = hydria.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        if "--json" in arguments:
            output.document({"ok": False, "error": {"code": "usage", "message": error.format_message()}})
        return USAGE
    except (KeyboardInterrupt, click.Abort):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        _write_no_more()
        return 128 + signal.SIGPIPE
    except Exception as error:  # noqa: BLE001 - the outermost place: here every error becomes a message
        _tell(error, output)
        try:
            sys.stdout.flush()
        except OSError:  # what failed may be standard output itself, and has been told
            _write_no_more()
        return SYSTEM
    return code


def _write_no_more() -> None:
    """What is still to be written to standard output goes nowhere: the interpreter would fail with it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(error: Exception, output: Output) -> None:
    from agent.errors import AgentError  # noqa: PLC0415 - needed only when something failed

    code, message = "hydria-fault", f"this is a fault of Hydria itself, please report it: {error!r}"
    if isinstance(error, AgentError):
        code, message = error.code, str(error)
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename is not None else ""
        code, message = "system-fault", where + (error.strerror or str(error))
    else:
        traceback.print_exception(error)
    try:
        output.failure(code, message)
    except OSError:
        # Standard error has been told already; it is standard output that cannot be written.
        _write_no_more()
