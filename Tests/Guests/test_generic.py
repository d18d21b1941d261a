"""QEMU 11's generic vhost-user device, which hands every feature through: split and packed rings."""

import pytest

from harness.machines import generic_gpu
from harness.muntin import Screen
from harness.pictures import painted

VIRTIO_F_RING_PACKED = 34


@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_painted_picture_is_on_the_display_to_the_last_bit(up, machines, packed):
    display = up({"vm": [Screen(0, 0, 640, 400)]})
    machine = machines("vm", generic_gpu(display.socket("vm"), packed), version=11).boot()
    features = machine.shell("cat /sys/bus/virtio/devices/virtio0/features").strip()
    assert features[VIRTIO_F_RING_PACKED] == str(int(packed))
    painter = machine.painter()
    assert painter.size == (640, 400)
    painter.fill(1)
    display.wait_for_picture("vm", painted(painter.size, 1))
    painter.flip(2, 300)
    display.wait_for_picture("vm", painted(painter.size, 2))
    painter.cursor(10, 10)
    painter.hide_cursor()
    display.wait_for_picture("vm", painted(painter.size, 2))


@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_guest_draws_again_after_its_reboot(up, machines, packed):
    display = up({"vm": [Screen(0, 0, 640, 400)]})
    machine = machines("vm", generic_gpu(display.socket("vm"), packed), version=11).boot()
    painter = machine.painter()
    painter.fill(1)
    display.wait_for_picture("vm", painted(painter.size, 1))
    painter.quit()
    machine.console.send("reboot -f")
    machine.console.wait_until_ready()
    painter = machine.painter()
    painter.fill(2)
    display.wait_for_picture("vm", painted(painter.size, 2))
