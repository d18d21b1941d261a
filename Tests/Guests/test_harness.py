"""The guests and the harness themselves, proved against QEMU's own vhost-user-gpu."""

from harness.machines import vhost_user_gpu
from harness.pictures import painted, with_rectangle


def test_painter_in_a_guest_draws_the_picture_that_the_harness_expects(qemu_gpu, machines):
    machine = machines("guest", vhost_user_gpu(qemu_gpu)).boot()
    painter = machine.painter()
    painter.fill(5)
    picture = painted(painter.size, 5)
    machine.wait_for_screen(picture)
    painter.rectangle(100, 50, 33, 17, (1, 2, 3))
    machine.wait_for_screen(with_rectangle(picture, 100, 50, 33, 17, (1, 2, 3)))
    painter.flip(9, 5)
    machine.wait_for_screen(painted(painter.size, 9))
