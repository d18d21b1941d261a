"""The guests and the harness themselves, proved against QEMU's own vhost-user-gpu."""

import pytest

from harness.environment import QEMU_GPU
from harness.machines import vhost_user_gpu
from harness.pictures import difference, painted, with_rectangle
from harness.processes import Process
from harness.waiting import wait_for


@pytest.fixture
def qemu_gpu(folder):
    """QEMU's own back-end, listening."""
    path = folder / "qemu-gpu.sock"
    process = Process("qemu-gpu", [QEMU_GPU, "-s", path], folder)
    wait_for(path.exists, "QEMU's vhost-user-gpu listens")
    yield path
    process.kill()


def wait_for_screen(machine, expected, seconds=10.0):
    seen = []

    def same():
        seen[:] = [difference(machine.screendump(), expected)]
        return seen[0] is None

    wait_for(same, lambda: seen[0], seconds)


def test_painter_in_a_guest_draws_the_picture_that_the_harness_expects(qemu_gpu, machines):
    machine = machines("guest", vhost_user_gpu(qemu_gpu)).boot()
    painter = machine.painter()
    painter.fill(5)
    picture = painted(painter.size, 5)
    wait_for_screen(machine, picture)
    painter.rectangle(100, 50, 33, 17, (1, 2, 3))
    wait_for_screen(machine, with_rectangle(picture, 100, 50, 33, 17, (1, 2, 3)))
    painter.flip(9, 5)
    wait_for_screen(machine, painted(painter.size, 9))
