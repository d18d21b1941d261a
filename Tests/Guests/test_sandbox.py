"""Cards in their sandbox, with guests at work: every thread is in it, and nothing is missed."""

import re

import pytest

from harness.machines import generic_gpu, vhost_user_gpu
from harness.muntin import Screen
from harness.pictures import difference, painted
from harness.processes import is_shut_in, threads
from harness.rendering import VIRGL, is_cube, need_virgl, start_cube
from harness.waiting import wait_for

SIZE = 640, 480
# Calls that drivers make and do without. What is refused once more is a call that somebody should look at.
DISPENSABLE = {
    # Mesa spreads its threads over processors, and gives those that compile a lower priority.
    "sched_setaffinity", "setpriority", "sched_setscheduler", "sched_setattr",
}  # fmt: skip


def refused(display):
    """The names of the system calls that the cards of a display were refused."""
    return set(re.findall(r"sandbox: refused (\S+) \(", display.process.log))


@pytest.mark.parametrize("gpu, version", [(vhost_user_gpu, 10), (generic_gpu, 11)], ids=["qemu10", "qemu11"])
def test_a_card_that_draws_misses_nothing_in_its_sandbox(up, machines, gpu, version):
    need_virgl()
    display = up({"vm": [Screen(0, 0, *SIZE)]}, size=SIZE, limits={"vm": {**VIRGL, "sandbox": "log"}})
    machine = machines("vm", gpu(display.socket("vm")), version=version, large=True).boot()
    start_cube(machine)
    wait_for(lambda: is_cube(display.look("vm")), "a shaded cube on grey", 60)
    card = display.part("gpu", "vm")
    assert len(list(threads(card))) > 1
    assert is_shut_in(card)
    old = display.kill_part("hub")
    display.wait_for_new_part("hub", instead_of=old)
    wait_for(lambda: display.ask("screenshot", display.folder / "x.png", check=False).returncode == 0, "a display is there")
    wait_for(lambda: is_cube(display.look("vm")), "the cube is back", 20)
    before = display.look("vm")
    wait_for(lambda: difference(display.look("vm"), before), "another frame", 20)
    assert display.part("gpu", "vm") == card
    assert is_shut_in(card)
    assert refused(display) <= DISPENSABLE


def test_a_card_without_3d_is_refused_nothing(up, machines):
    display = up({"vm": [Screen(0, 0, *SIZE)]}, size=SIZE, limits={"vm": {"sandbox": "log"}})
    machine = machines("vm", vhost_user_gpu(display.socket("vm"))).boot()
    painter = machine.painter()
    painter.fill(1)
    display.wait_for_picture("vm", painted(painter.size, 1))
    assert is_shut_in(display.part("gpu", "vm"))
    machine.kill()
    display.stop()
    assert refused(display) == set()
