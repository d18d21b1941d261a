"""Nothing that ends, crashes or restarts takes anything else with it."""

import time

import pytest

from harness.machines import vhost_user_gpu
from harness.muntin import Screen
from harness.pictures import difference, painted, shows_placeholder
from harness.processes import children_of, is_running
from harness.waiting import wait_for

SIZE = 640, 400


@pytest.fixture
def display(up):
    """One machine, "vm"."""
    return up({"vm": [Screen(0, 0, *SIZE)]})


def boot_and_fill(machines, display, name, seed, socket="vm"):
    """Boots a guest, paints, and waits until the display shows it."""
    machine = machines(name, vhost_user_gpu(display.socket(socket))).boot()
    painter = machine.painter()
    painter.fill(seed)
    display.wait_for_picture(socket, painted(painter.size, seed))
    return machine, painter


def test_area_of_a_machine_that_never_came_shows_a_placeholder_with_a_label(display):
    wait_for(lambda: shows_placeholder(display.look("vm")), "a placeholder")


def test_guest_draws_again_after_its_reboot(display, machines):
    machine, painter = boot_and_fill(machines, display, "vm", 1)
    old = display.part("gpu", "vm")
    painter.quit()
    machine.console.send("reboot -f")
    machine.console.wait_until_ready()
    painter = machine.painter()
    painter.fill(2)
    display.wait_for_picture("vm", painted(SIZE, 2))
    assert display.part("gpu", "vm") == old, "the back-end lived through the reboot"


def test_back_end_serves_a_second_machine_after_the_first_was_killed(display, machines):
    machine, _ = boot_and_fill(machines, display, "first", 1)
    old = display.part("gpu", "vm")
    machine.kill()
    boot_and_fill(machines, display, "second", 2)
    assert display.part("gpu", "vm") == old, "the back-end lived through the kill"


def test_back_end_serves_a_second_machine_after_the_first_was_killed_in_the_middle_of_a_frame(display, machines):
    machine, painter = boot_and_fill(machines, display, "first", 1)
    old = display.part("gpu", "vm")
    painter.start("flip 1 100000")
    still = display.look("vm")
    wait_for(lambda: difference(display.look("vm"), still), "frames flow")
    machine.kill()
    boot_and_fill(machines, display, "second", 2)
    assert display.part("gpu", "vm") == old, "the back-end lived through the kill"


def test_killed_machine_leaves_a_placeholder_within_a_second_and_its_neighbour_untouched(up, machines):
    display = up({"left": [Screen(0, 0, *SIZE)], "right": [Screen(640, 0, *SIZE)]})
    left, _ = boot_and_fill(machines, display, "left", 1, "left")
    _, right_painter = boot_and_fill(machines, display, "right", 2, "right")
    neighbour = painted(SIZE, 2)
    left.kill()
    killed = time.monotonic()
    while not shows_placeholder(display.look("left")):
        assert difference(display.look("right"), neighbour) is None
        assert time.monotonic() - killed < 1.5, "no placeholder one second after the kill (half a second for looking)"
    for _ in range(10):
        assert difference(display.look("right"), neighbour) is None
    right_painter.fill(3)
    display.wait_for_picture("right", painted(SIZE, 3))


def test_killed_back_end_is_started_again_and_serves_a_new_machine(up, machines):
    display = up({"left": [Screen(0, 0, *SIZE)], "right": [Screen(640, 0, *SIZE)]})
    left, _ = boot_and_fill(machines, display, "left", 1, "left")
    boot_and_fill(machines, display, "right", 2, "right")
    old = display.kill_part("gpu", "left")
    display.wait_for_new_part("gpu", "left", instead_of=old)
    assert difference(display.look("right"), painted(SIZE, 2)) is None
    left.kill()
    boot_and_fill(machines, display, "again", 4, "left")
    assert difference(display.look("right"), painted(SIZE, 2)) is None


def test_killed_hub_is_started_again_and_all_pictures_come_back(up, machines):
    display = up({"left": [Screen(0, 0, *SIZE)], "right": [Screen(640, 0, *SIZE)]})
    _, left = boot_and_fill(machines, display, "left", 1, "left")
    _, right = boot_and_fill(machines, display, "right", 2, "right")
    old = display.kill_part("hub")
    display.wait_for_new_part("hub", instead_of=old)
    wait_for(lambda: display.ask("list", "displays", check=False).returncode == 0, "the hub answers")
    wait_for(lambda: display.ask("screenshot", display.folder / "x.png", check=False).returncode == 0, "a display is there")
    display.wait_for_picture("left", painted(SIZE, 1))
    display.wait_for_picture("right", painted(SIZE, 2))
    left.fill(3)
    right.flip(4, 5)
    display.wait_for_picture("left", painted(SIZE, 3))
    display.wait_for_picture("right", painted(SIZE, 4))


def test_killed_compositor_is_started_again_and_all_pictures_come_back(up, machines):
    display = up({"vm": [Screen(0, 0, *SIZE)]})
    _, painter = boot_and_fill(machines, display, "vm", 1)
    old = display.kill_part("compositor")
    painter.fill(2)
    display.wait_for_new_part("compositor", instead_of=old)
    wait_for(lambda: display.ask("screenshot", display.folder / "x.png", check=False).returncode == 0, "a display is there")
    display.wait_for_picture("vm", painted(SIZE, 2))
    painter.flip(3, 5)
    display.wait_for_picture("vm", painted(SIZE, 3))


def test_up_ends_everything_that_it_started(display):
    parts = children_of(display.process.pid)
    assert len(parts) == 3, parts
    assert display.stop() == 0
    wait_for(lambda: not any(is_running(pid) for pid in parts), f"all of these end: {parts}")
    assert not display.hub.exists() and not display.socket("vm").exists()

