"""A guest that wants more memory than its share is told so, and goes on."""

from harness.machines import vhost_user_gpu
from harness.muntin import Screen
from harness.pictures import painted


def test_guest_over_its_memory_limit_gets_an_error_and_still_draws(up, machines):
    """The text console and the painter's first buffer fit into 9 MiB; its second buffer, of 4 MB too, does not."""
    screen = Screen(0, 0, 1280, 800)
    display = up({"vm": [screen]}, size=screen.size, limits={"vm": {"memory_limit": "9M"}})
    machine = machines("vm", vhost_user_gpu(display.socket("vm"))).boot()
    painter = machine.painter()
    painter.fill(1)
    display.wait_for_picture("vm", painted(screen.size, 1))
    painter.quit()
    assert "response 0x1201" in machine.shell("dmesg"), "the guest's kernel was told: out of memory"
    machine.painter().fill(2)
    display.wait_for_picture("vm", painted(screen.size, 2))
