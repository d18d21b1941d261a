"""QEMU 11's generic vhost-user device, which hands every feature through: split and packed rings."""

import pytest

from harness.featuremask import FeatureMask
from harness.machines import generic_gpu
from harness.muntin import Screen
from harness.pictures import painted

VIRTIO_F_RING_PACKED = 34


@pytest.fixture
def boot(up, machines, folder):
    """Boots a guest whose driver uses packed rings or split ones; gives the display, and the machine."""

    def start(packed):
        display = up({"vm": [Screen(0, 0, 640, 400)]})
        path = display.socket("vm")
        if not packed:
            # The device's own packed=off changes nothing: what the back-end offers is taken.
            path = FeatureMask(folder / "split.sock", path, [VIRTIO_F_RING_PACKED]).path
        machine = machines("vm", generic_gpu(path), version=11).boot()
        features = machine.shell("cat /sys/bus/virtio/devices/virtio0/features").strip()
        assert features[VIRTIO_F_RING_PACKED] == str(int(packed))
        return display, machine

    return start


@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_painted_picture_is_on_the_display_to_the_last_bit(boot, packed):
    display, machine = boot(packed)
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
def test_guest_draws_again_after_its_reboot(boot, packed):
    display, machine = boot(packed)
    painter = machine.painter()
    painter.fill(1)
    display.wait_for_picture("vm", painted(painter.size, 1))
    painter.quit()
    machine.console.send("reboot -f")
    machine.console.wait_until_ready()
    painter = machine.painter()
    painter.fill(2)
    display.wait_for_picture("vm", painted(painter.size, 2))
