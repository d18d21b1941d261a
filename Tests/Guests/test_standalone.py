"""`muntin gpu` alone, in the place of QEMU's own vhost-user-gpu: its screens are in QEMU's display."""

import json
import socket

from harness.environment import MUNTIN
from harness.machines import vhost_user_gpu
from harness.muntin import QUIET, muntin
from harness.pictures import painted, with_rectangle
from harness.processes import Process


def test_picture_is_mirrored_into_the_display_of_qemu(standalone, machines):
    gpu = standalone("--size", "800x600")
    machine = machines("vm", vhost_user_gpu(gpu.socket)).boot()
    painter = machine.painter()
    painter.fill(1)
    picture = painted(painter.size, 1)
    machine.wait_for_screen(picture)
    painter.rectangle(17, 19, 23, 29, (200, 100, 50))
    machine.wait_for_screen(with_rectangle(picture, 17, 19, 23, 29, (200, 100, 50)))
    painter.flip(2, 10)
    machine.wait_for_screen(painted(painter.size, 2))


def test_second_screen_is_mirrored_into_the_second_head_of_qemu(standalone, machines):
    gpu = standalone("--size", "640x400", "--size", "512x384")
    machine = machines("vm", vhost_user_gpu(gpu.socket, scanouts=2)).boot()
    painter = machine.painter()
    painter.fill(1)
    painter.ask("use 1")
    painter.fill(2)
    machine.wait_for_screen(painted((512, 384), 2), head=1)
    machine.wait_for_screen(painted((640, 400), 1), head=0)


def test_another_mode_set_by_the_guest_is_mirrored(standalone, machines):
    gpu = standalone()
    machine = machines("vm", vhost_user_gpu(gpu.socket)).boot()
    painter = machine.painter()
    painter.fill(1)
    machine.wait_for_screen(painted(painter.size, 1))
    painter.ask("use 0 1024 768")
    painter.fill(2)
    machine.wait_for_screen(painted((1024, 768), 2))


def test_machine_starts_again_on_the_same_back_end(standalone, machines):
    gpu = standalone()
    for seed in range(3):
        machine = machines(f"vm{seed}", vhost_user_gpu(gpu.socket)).boot()
        painter = machine.painter()
        painter.fill(seed)
        machine.wait_for_screen(painted(painter.size, seed))
        machine.kill()
        gpu.process.expect_running()


def test_back_end_serves_a_listening_socket_that_it_inherits(folder, built, machines):
    path = folder / "inherited.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        number = listener.fileno()
        gpu = Process("gpu", [MUNTIN, "gpu", "--fd", number], folder, environment=QUIET, pass_fds=[number])
    try:
        serve_one_machine(path, machines)
    finally:
        gpu.kill()


def test_back_end_serves_a_connected_socket_that_it_inherits(folder, built, machines):
    """As libvirt starts it: the other end goes to QEMU as an inherited descriptor too."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    gpu = Process("gpu", [MUNTIN, "gpu", "--fd", ours.fileno()], folder, environment=QUIET, pass_fds=[ours.fileno()])
    ours.close()
    try:
        attach = ["-chardev", f"socket,id=gpu,fd={theirs.fileno()}", "-device", "vhost-user-gpu-pci,id=gpu0,chardev=gpu"]
        machine = machines("vm", attach, pass_fds=[theirs.fileno()])
        machine.boot()
        theirs.close()
        painter = machine.painter()
        painter.fill(3)
        machine.wait_for_screen(painted(painter.size, 3))
    finally:
        gpu.kill()


def serve_one_machine(path, machines):
    machine = machines("vm", vhost_user_gpu(path)).boot()
    painter = machine.painter()
    painter.fill(3)
    machine.wait_for_screen(painted(painter.size, 3))


def test_capabilities_are_printed_as_the_conventions_say(built):
    printed = json.loads(muntin("gpu", "--print-capabilities").stdout)
    assert printed["type"] == "gpu"
    assert set(printed["features"]) in (set(), {"virgl", "render-node"})
