# Every target gets what it needs by itself: Debian packages (as root; otherwise it says which are missing), then `.venv`.
# Runs anew only what has changed: the virtual environment follows the files that the stamps below depend on.

PYTHON ?= python3
BIN := .venv/bin
# Tests wait for timers, sockets and other programs more than they compute.
JOBS ?= $(shell expr $$(nproc) + 1)
EXTENSIONS := $(wildcard fastpath/*.pyx)
IMAGE := build/images/hydria-debian-13.qcow2
SSH_IMAGE := build/images/hydria-debian-13-ssh.qcow2
DEBIAN := python3-venv haproxy keepalived nftables iproute2 openssl curl $(if $(EXTENSIONS),gcc libc6-dev python3-dev)
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

# Debian keeps haproxy, keepalived and nft in /usr/sbin, which is not in everybody's PATH.
export PATH := $(PATH):/usr/sbin:/sbin
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-image lint bench soak docs clean debian

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r target text; do printf '  make %-10s %s\n' "$$target" "$$text"; done

demo: .venv/.runtime ## compile an example, run it alone and as a pair whose master dies, with real traffic, and judge every answer
	@$(BIN)/python -m hydria.lab.demo build/failover.svg

test test-slow: DEBIAN += wrk systemd procps dhcpcd-base dnsmasq-base shellcheck strace jq user-mode-linux ipvsadm iptables
test-slow: DEBIAN += chromium
test: .venv/.development .venv/octavia/.made .venv/haproxy-3.0/.made ## all tests but those that take minutes each
	@$(BIN)/python -m pytest -m 'not slow' --timeout 300 --reruns 1 --max-suite-reruns 5 --rerun-show-tracebacks --numprocesses $(JOBS) --dist worksteal

test-slow: .venv/.development .venv/octavia/.made .venv/haproxy-3.0/.made $(IMAGE) $(SSH_IMAGE) ## the tests that take minutes
	@$(PIP) install --group fuzz
	@$(BIN)/python -m pytest -m slow --timeout 3600

# A database, a transport and a job board for Octavia; none of them runs but when a test has started it.
test-slow: DEBIAN += postgresql mariadb-server rabbitmq-server redis-server
test-slow test-image: DEBIAN += qemu-system-x86 seabios qemu-utils genisoimage openssh-client
test-image: .venv/.development $(IMAGE) $(SSH_IMAGE) ## boot the image of an amphora in emulated machines and use it
	@$(BIN)/python -m pytest tests/image --override-ini faulthandler_timeout=0

# The image of this checkout; as root. images/build tells what it does.
$(IMAGE): $(shell find images agent compiler fastpath hydria templates -type f ! -name '*.pyc' ! -name '*.so' ! -name '*.c') pyproject.toml setup.py
	@images/build -o $@

# The same with sshd, built after it: both are built in one place.
$(SSH_IMAGE): $(IMAGE)
	@images/build --ssh -o $@

lint: .venv/.development ## style, format and types; any remark is an error
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: .venv/.development .venv/octavia/.made ## measure what benchmarks/ measures; build/benchmarks.json has it, too
	@mkdir -p build
	@$(BIN)/python -m benchmarks --json build/benchmarks.json

bench soak: DEBIAN += wrk
soak: .venv/.runtime ## change a load balancer under load, 10 000 times; build/soak.json has what was seen
	@mkdir -p build
	@$(BIN)/python -m benchmarks.soak --json build/soak.json

docs: .venv/.runtime ## make the pages of docs/ that follow from the code
	@$(BIN)/python -m docs.generate
	@$(BIN)/python -m docs.man_pages

clean: ## remove everything that was made, .venv included
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage fastpath/*.c fastpath/*.so
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

debian:
	@PYTHON='$(PYTHON)' tools/debian-packages $(DEBIAN)

# What the product needs to run. A new top-level package (its __init__.py) must be made known to the editable installation too.
.venv/.runtime: pyproject.toml setup.py $(EXTENSIONS) $(wildcard fastpath/*.pxd) $(wildcard */__init__.py) | debian
	@echo '· Python packages of Hydria into .venv'
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv .venv
	@$(PIP) install --upgrade 'pip>=25.1'
	@PYTHONWARNINGS='ignore:Editable installation' $(PIP) install --editable .
	@touch $@

# What Hydria is measured beside and driven by, in an environment of its own: its many dependencies are none of ours. Our driver is in it, as on
# a controller.
.venv/octavia/.made: .venv/.runtime
	@echo '· Octavia, to test with and to measure beside, into .venv/octavia'
	@$(PYTHON) -m venv .venv/octavia
	@.venv/octavia/bin/python -m pip --quiet --disable-pip-version-check --no-input install --upgrade 'pip>=25.1'
	@PYTHONWARNINGS='ignore:Editable installation' .venv/octavia/bin/python -m pip --quiet --disable-pip-version-check --no-input install \
	  --group bench --editable '.[octavia]'
	@touch $@

# OpenStack's tests of Octavia's API: `python -m benchmarks.octavia_tempest`.
.venv/tempest/.made:
	@echo '· octavia-tempest-plugin into .venv/tempest'
	@$(PYTHON) -m venv .venv/tempest
	@.venv/tempest/bin/python -m pip --quiet --disable-pip-version-check --no-input install --upgrade 'pip>=25.1'
	@.venv/tempest/bin/python -m pip --quiet --disable-pip-version-check --no-input install --group tempest
	@touch $@

# The third HAProxy that is tested with, beside the one that is installed and the one from PyPI.
.venv/haproxy-3.0/.made: tools/trixie-haproxy | debian
	@tools/trixie-haproxy $(@D)
	@touch $@

# What its development needs besides.
.venv/.development: .venv/.runtime
	@echo '· Python packages of its development into .venv'
	@$(PIP) install --group dev
	@touch $@
