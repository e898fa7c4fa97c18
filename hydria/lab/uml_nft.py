#!/usr/bin/python3
"""nft for a kernel that has none for IP: what Hydria's files say, put into the kernel by iptables.

It knows the words of `templates/nftables` and no others; what it does not know is an error. A table is replaced chain by chain, not as one change.
It is for the kernel of `hydria.lab.uml_guest` alone: an amphora of a cloud has nft itself. Nothing but the standard library is imported.
"""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import zlib
from pathlib import Path

TABLES = Path("/run/nft-on-iptables")
HOOKS = {("filter", "prerouting", "raw"): ("raw", "PREROUTING"), ("nat", "postrouting", "srcnat"): ("nat", "POSTROUTING")}
HOOKS |= {("filter", "input", "filter"): ("filter", "INPUT")}
VERDICTS = {"accept": "ACCEPT", "drop": "DROP", "masquerade": "MASQUERADE"}
PROGRAMS = {"ip": "iptables-legacy-restore", "ip6": "ip6tables-legacy-restore"}


class Changes:
    """Lines for iptables-restore, by family and table: all of one file are done by one program, which is not slow in a slow kernel."""

    def __init__(self) -> None:
        self.lines: dict[str, dict[str, list[str]]] = {family: {} for family in PROGRAMS}

    def add(self, family: str, table: str, line: str) -> None:
        """A line more."""
        self.lines[family].setdefault(table, []).append(line)

    def commit(self) -> None:
        """Does all of it."""
        for family, program in PROGRAMS.items():
            text = "".join(f"*{table}\n" + "\n".join(lines) + "\nCOMMIT\n" for table, lines in self.lines[family].items())
            if text:
                finished = subprocess.run([program, "-n", "-w", "10"], input=text, capture_output=True, text=True, check=False)
                if finished.returncode:
                    sys.exit(f"{program}: {finished.stderr.strip()}\n{text}")


def listed(words: list[str]) -> list[str]:
    """The words of a set in braces, or the one word; they are taken away."""
    if words[0] != "{":
        return [words.pop(0)]
    end = words.index("}")
    found = [word.strip(",") for word in words[1:end]]
    del words[: end + 1]
    return found


class Rule:
    """A line of a chain: what packets it is for, as iptables's words, and what becomes of them."""

    def __init__(self, text: str) -> None:
        self.words = text.replace("{", " { ").replace("}", " } ").split()
        self.family: str | None = None
        self.sources, self.destinations, self.protocols = [""], [""], [""]
        self.excepted: list[str] = []
        self.more: list[str] = []
        while self.words[0] not in VERDICTS and self.words[0] != "jump":
            self.take(self.words.pop(0), text)
        self.verdict = self.words[1] if self.words[0] == "jump" else VERDICTS[self.words[0]]

    def take(self, word: str, text: str) -> None:
        """What a word of the line says, and those after it that belong to it."""
        words = self.words
        if word in ("iifname", "oifname"):
            self.more += ["-i" if word == "iifname" else "-o", words.pop(0).strip('"')]
        elif word in ("ip", "ip6"):
            self.family = word
            self.addresses(words.pop(0))
        elif word in ("udp", "sctp", "tcp"):
            self.protocols = [word]
            self.more += ["--dport" if words.pop(0) == "dport" else "--sport", words.pop(0)]
        elif (word, words[0]) in (("meta", "l4proto"), ("ct", "state")):
            del words[0]
            if word == "meta":
                self.protocols = listed(words)
            else:
                self.more += ["-m", "conntrack", "--ctstate", ",".join(listed(words)).upper()]
        elif word in ("icmp", "icmpv6"):
            # All of it: what is tested here is UDP and SCTP.
            self.family, self.protocols = "ip6" if word == "icmpv6" else "ip", [word]
            del words[: words.index("}") + 1]
        else:
            sys.exit(f"{word!r} is not known here: {text}")

    def addresses(self, field: str) -> None:
        """Whom packets come from, or whom they are for."""
        if field == "daddr":
            self.destinations = listed(self.words)
        elif self.words[0] == "!=":
            del self.words[0]
            self.excepted = listed(self.words)
        else:
            self.sources = listed(self.words)

    def matches(self) -> list[list[str]]:
        """One rule of iptables for each address that packets come from or are for, and each protocol."""
        found = []
        for source, destination, protocol in itertools.product(self.sources, self.destinations, self.protocols):
            options = (("-s", source), ("-d", destination), ("-p", protocol))
            found.append([word for option, value in options if value for word in (option, value)] + self.more)
        return found


def put(changes: Changes, table: str, chain: str, rule: Rule, own: str) -> None:
    """`own` names a chain of the rule's own, for those whom it leaves out."""
    for family in PROGRAMS if rule.family is None else (rule.family,):
        for source in rule.excepted:
            changes.add(family, table, f"-A {own} -s {source} -j RETURN")
        if rule.excepted:
            changes.add(family, table, f"-A {own} -j {rule.verdict}")
        for match in rule.matches():
            changes.add(family, table, " ".join(["-A", chain, *match, "-j", own if rule.excepted else rule.verdict]))


def load(text: str) -> None:
    """A file of ours: `table inet NAME {}`, `delete table inet NAME`, and the table anew unless it is to be gone."""
    [name] = re.findall(r"^delete table inet (\w+)$", text, re.MULTILINE)
    changes, made, rules = delete(name), [], []
    short = f"h{zlib.crc32(name.encode()):08x}"
    body = re.sub(r"#.*", "", text.split("delete table", 1)[1].split("\n", 1)[1])
    for chain, content in re.findall(r"chain (\w+) \{\n(.*?)\n    \}", body, re.DOTALL):
        lines = [line.strip() for line in content.splitlines() if line.strip()]
        head = re.match(r"type (\w+) hook (\w+) priority (\w+); policy accept;", lines[0])
        table, hook = HOOKS[head[1], head[2], head[3]] if head else ("filter", "")
        made.append((table, f"{short}-{chain}", hook))
        for number, line in enumerate(lines[1:] if head else lines):
            rules.append((table, f"{short}-{chain}", Rule(line.replace("jump ", f"jump {short}-")), f"{short}-{chain}-{number}"))
    made += [(table, own, "") for table, _, rule, own in rules if rule.excepted]
    for family in PROGRAMS:
        for table, chain, _ in made:
            changes.add(family, table, f":{chain} - [0:0]")
        for table, chain, hook in made:
            if hook:
                changes.add(family, table, f"-A {hook} -j {chain}")
    for table, chain, rule, own in rules:
        put(changes, table, chain, rule, own)
    changes.commit()
    TABLES.mkdir(exist_ok=True)
    if made:
        (TABLES / name).write_text("".join(f"{' '.join(entry).strip()}\n" for entry in made))


def delete(name: str) -> Changes:
    """What takes the table out that there is."""
    changes = Changes()
    kept = TABLES / name
    if kept.exists():
        entries = [line.split() for line in kept.read_text().splitlines()]
        for family in PROGRAMS:
            for table, chain, *hook in entries:
                if hook:
                    changes.add(family, table, f"-D {hook[0]} -j {chain}")
            for step in ("-F", "-X"):
                for table, chain, *_ in entries:
                    changes.add(family, table, f"{step} {chain}")
        kept.unlink()
    return changes


def main() -> None:
    """What nft is asked for by Hydria."""
    words = sys.argv[1:]
    if words[:2] == ["-c", "-f"]:
        return
    if words[0] == "-f":
        load(Path(words[1]).read_text())
    elif words[:3] == ["list", "table", "inet"]:
        if not (TABLES / words[3]).exists():
            sys.exit("Error: No such file or directory")
        sys.stdout.write(f"table inet {words[3]} {{\n}}\n")
    elif words[:3] == ["delete", "table", "inet"]:
        delete(words[3]).commit()
    else:
        sys.exit(f"not known here: {words}")


if __name__ == "__main__":
    main()
