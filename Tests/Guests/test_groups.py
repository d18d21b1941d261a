"""Control groups of cgroup v2, in a guest: the machine of the tests may have others."""

import re
import tempfile
from pathlib import Path

import pytest

from harness.environment import MUNTIN
from harness.inside import Inside, initrd_with
from harness.machines import Vm
from harness.waiting import wait_for

CONFIGURATION = """
[hub]
socket = "/run/hub.sock"
[[display]]
name = "main"
size = "640x480"
output = "headless"
[[vm]]
name = "vm"
socket = "/run/vm.sock"
memory_limit = "16M"
  [[vm.scanout]]
  display = "main"
  x = 0
  y = 0
  width = 640
  height = 480
"""
GROUPS = "/sys/fs/cgroup"


@pytest.fixture
def inside(built):
    """A guest with cgroup v2, in whose own group nothing runs but a shell that has left it."""
    with tempfile.TemporaryDirectory(prefix="muntin-") as folder:
        vm = Vm(folder, "host", [], initrd=initrd_with([MUNTIN], Path(folder)), memory=512)
        try:
            vm.boot()
            vm.shell(f"mkdir -p {GROUPS} && mount -t cgroup2 none {GROUPS} && mkdir {GROUPS}/service")
            vm.shell(f"echo +memory >{GROUPS}/cgroup.subtree_control")
            vm.shell("printf '%s\\n' " + " ".join(f"'{line}'" for line in CONFIGURATION.splitlines()) + " >/run/up.toml")
            yield Inside(vm)
        finally:
            vm.kill()


def start(inside):
    """`muntin up` in a group of its own, as a service is."""
    inside.start("up", f"sh -c 'echo 0 >{GROUPS}/service/cgroup.procs; exec muntin up /run/up.toml'", "running")
    wait_for(lambda: "vm" in inside.vm.shell("muntin list vms --hub /run/hub.sock", check=False), inside.logs, 30)


def group(inside):
    """The folder of the card's group."""
    return inside.vm.shell(f"ls -d {GROUPS}/service/*gpu-vm").strip()


def names(inside, folder):
    """The parts of Muntin that run in a group."""
    pids = inside.vm.shell(f"cat {folder}/cgroup.procs").split()
    lines = [inside.vm.shell(f"tr '\\0' ' ' </proc/{pid}/cmdline", check=False) for pid in pids]
    return sorted(line.split()[1] for line in lines if line.startswith("muntin "))


def test_the_kernel_holds_a_card_to_its_memory_and_the_group_goes_with_muntin(inside):
    start(inside)
    folder = group(inside)
    assert int(inside.vm.shell(f"cat {folder}/memory.max")) == (16 + 256) << 20
    wait_for(lambda: names(inside, folder) == ["connector", "gpu"], "the card, and what it has started")
    inside.vm.shell("kill $(cat /run/up.pid)")
    wait_for(lambda: not inside.vm.shell(f"ls {GROUPS}/service | grep muntin", check=False).strip(), inside.logs, 20)


def started(inside):
    """The processes that `muntin up` has started, by their part's first word."""
    found = {}
    for line in inside.log("up").splitlines():
        match = re.search(r'started part="?(\w+).* pid=(\d+)', line)
        if match:
            found.setdefault(match.group(1), []).append(match.group(2))
    return found


def test_a_card_that_the_kernel_ends_for_its_memory_is_started_again_and_nobody_else_is(inside):
    start(inside)
    folder = group(inside)
    inside.vm.shell(f"echo 256K >{folder}/memory.max", check=False)
    # What it has can be taken from it only by its end; what it asks for later ends it at the latest.
    wait_for(lambda: "oom_kill 0" not in inside.vm.shell(f"cat {folder}/memory.events"), inside.logs, 20)
    inside.vm.shell(f"echo 256M >{folder}/memory.max")

    def is_back():
        cards = started(inside)["gpu"]
        return len(cards) > 1 and cards[-1] in inside.vm.shell(f"cat {folder}/cgroup.procs").split()

    wait_for(is_back, inside.logs, 30)
    assert len(started(inside)["hub"]) == len(started(inside)["display"]) == 1
