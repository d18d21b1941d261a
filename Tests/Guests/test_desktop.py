"""Programs that people run: kmscube and Weston, on Mesa's software drivers."""

from harness.machines import vhost_user_gpu
from harness.muntin import Screen
from harness.pictures import colour_count, difference
from harness.waiting import wait_for

SIZE = 640, 480


def test_kmscube_turns(up, machines):
    display = up({"vm": [Screen(0, 0, *SIZE)]}, size=SIZE)
    machine = machines("vm", vhost_user_gpu(display.socket("vm")), large=True).boot()
    machine.console.start("kmscube")
    wait_for(lambda: colour_count(display.look("vm")) > 2000, "a shaded cube", 60)
    for _ in range(3):
        before = display.look("vm")
        wait_for(lambda: difference(display.look("vm"), before), "another frame", 20)


def test_weston_shows_a_client_that_changes_and_a_pointer_that_follows_the_mouse(up, machines):
    display = up({"vm": [Screen(0, 0, *SIZE)]}, size=SIZE)
    mouse = ["-device", "virtio-tablet-pci", "-device", "virtio-keyboard-pci"]
    machine = machines("vm", vhost_user_gpu(display.socket("vm")), large=True, extra=mouse).boot()
    machine.console.start("seatd-launch -- weston --idle-time=0 --renderer=pixman --no-config -- weston-simple-shm")
    wait_for(lambda: colour_count(display.look("vm")) > 300, "Weston's desktop with its client", 90)
    for _ in range(3):
        before = display.look("vm")
        wait_for(lambda: difference(display.look("vm"), before), "the client's next frame", 20)
    for x, y in [(40, 440), (600, 400)]:
        corner = (x - 12, y - 12, x + 40, y + 40)
        before = display.look("vm").crop(corner)
        point_at(machine, x, y)
        wait_for(lambda: difference(display.look("vm").crop(corner), before), f"a pointer at {x}, {y}", 20)


def point_at(machine, x, y):
    """Moves the tablet's pen, whose coordinates go from 0 to 32767."""
    values = {"x": x * 32767 // SIZE[0], "y": y * 32767 // SIZE[1]}
    machine.qmp(
        "input-send-event",
        events=[{"type": "abs", "data": {"axis": axis, "value": value}} for axis, value in values.items()],
    )
