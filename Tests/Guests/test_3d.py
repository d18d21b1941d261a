"""Guests whose OpenGL the host draws: Mesa's virgl driver in the guest, virglrenderer in `muntin gpu`."""

import pytest

from harness.environment import MUNTIN_GUEST
from harness.inside import Inside, initrd_with
from harness.machines import generic_gpu, vhost_user_gpu
from harness.muntin import Screen
from harness.pictures import colour_count, difference, painted
from harness.rendering import VIRGL, glmark, is_cube, need_virgl, renderers, start_cube, start_weston
from harness.waiting import wait_for

SIZE = 640, 480

# QEMU 10's own front-end, and QEMU 11's generic one, by which guests have contexts of several kinds.
FRONT_ENDS = pytest.mark.parametrize("gpu, version", [(vhost_user_gpu, 10), (generic_gpu, 11)], ids=["qemu10", "qemu11"])


@pytest.fixture(autouse=True)
def virgl(built):
    need_virgl()


@pytest.fixture
def boot(up, machines):
    """Boots one guest with 3D; gives the display, and the machine."""

    def start(gpu=vhost_user_gpu, version=10, extra=()):
        display = up({"vm": [Screen(0, 0, *SIZE)]}, size=SIZE, limits={"vm": VIRGL})
        machine = machines("vm", gpu(display.socket("vm")), version=version, large=True, extra=extra).boot()
        return display, machine

    return start


@FRONT_ENDS
def test_guest_draws_a_cube_that_the_display_shows(boot, gpu, version):
    display, machine = boot(gpu, version)
    assert all(name.startswith("virgl") for name in renderers(machine))
    start_cube(machine)
    wait_for(lambda: is_cube(display.look("vm")), "a shaded cube on grey", 60)
    for _ in range(3):
        before = display.look("vm")
        wait_for(lambda: difference(display.look("vm"), before), "another frame", 20)
        assert is_cube(display.look("vm"))


def test_weston_draws_with_the_host_and_so_do_its_clients(boot):
    mouse = ["-device", "virtio-tablet-pci", "-device", "virtio-keyboard-pci"]
    display, machine = boot(extra=mouse)
    start_weston(machine, size=SIZE)
    wait_for(lambda: colour_count(display.look("vm")) > 100, "Weston's desktop", 60)
    assert "GL renderer: virgl" in machine.shell("cat /tmp/weston.log")
    machine.console.start("WAYLAND_DISPLAY=wayland-0 weston-simple-egl")
    for _ in range(3):
        before = display.look("vm")
        wait_for(lambda: difference(display.look("vm"), before), "the client's next frame", 20)
    machine.shell("killall weston-simple-egl")
    scores = glmark(machine, ["build", "texture", "shading"])
    print(f"glmark2-es2, frames per second: {scores}")
    assert min(scores.values()) > 0


def test_a_guest_with_3d_and_one_without_are_shown_side_by_side(up, machines):
    screens = {"cube": [Screen(0, 0, *SIZE)], "paint": [Screen(SIZE[0], 0, *SIZE)]}
    display = up(screens, size=(2 * SIZE[0], SIZE[1]), limits={"cube": VIRGL})
    cube = machines("cube", vhost_user_gpu(display.socket("cube")), large=True).start()
    paint = machines("paint", vhost_user_gpu(display.socket("paint"))).boot()
    painter = paint.painter()
    painter.fill(1)
    cube.console.wait_until_ready(90)
    start_cube(cube)
    wait_for(lambda: is_cube(display.look("cube")), "a shaded cube on grey", 60)
    for seed in range(2, 6):
        painter.fill(seed)
        display.wait_for_picture("paint", painted(painter.size, seed))
        before = display.look("cube")
        wait_for(lambda: difference(display.look("cube"), before), "another frame", 20)
    paint.kill()
    assert is_cube(display.look("cube"))


def test_what_a_guest_draws_in_3d_is_on_another_guests_screen(up, machines, folder):
    screens = {"cube": [Screen(0, 0, *SIZE)], "viewer": [Screen(SIZE[0], 0, *SIZE)]}
    grant = {"from": "vm:cube", "to": "vm:viewer", "display": 0}
    display = up(screens, size=(2 * SIZE[0], SIZE[1]), limits={"cube": VIRGL, "viewer": {"channel": "hub"}}, grants=[grant])
    cube = machines("cube", vhost_user_gpu(display.socket("cube")), large=True).start()
    initrd = initrd_with([MUNTIN_GUEST], folder)
    viewer = machines("viewer", generic_gpu(display.socket("viewer")), version=11, initrd=initrd, memory=256).boot()
    Inside(viewer).start("show", "muntin-guest show cube:0 --kms")
    cube.console.wait_until_ready(90)
    start_cube(cube)
    wait_for(lambda: is_cube(display.look("viewer")), "the cube on the viewer's screen", 60)
    for _ in range(3):
        # It holds still, so that both can be looked at.
        cube.shell("killall -STOP kmscube")
        wait_for(lambda: difference(display.look("viewer"), display.look("cube")) is None, "the same pixels on both screens", 20)
        still = display.look("viewer")
        assert is_cube(still)
        cube.shell("killall -CONT kmscube")
        wait_for(lambda: difference(display.look("viewer"), still), "another frame", 20)
