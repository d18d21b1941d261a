"""Blobs of an unmodified Linux guest: in its own pages, which nobody copies, and in the host's memory, which it sees
through the host-visible region. The VMM is QEMU 11's generic device, which hands every feature through."""

import os
import time

import pytest

from harness.machines import generic_gpu
from harness.muntin import Screen
from harness.pictures import painted, with_rectangle
from harness.waiting import wait_for

SIZE = 640, 400
VIRTIO_GPU_F_VIRGL = 0
VIRTIO_GPU_F_RESOURCE_BLOB = 3


@pytest.fixture
def boot(up, machines):
    """Boots a guest whose pictures are in the memory of that side; gives the display, and the machine."""

    def start(allocate, name="vm", older=False, **options):
        display = up({"vm": [Screen(0, 0, *SIZE)]}, limits={"vm": {"allocate": allocate}}, **options)
        machine = machines(name, generic_gpu(display.socket("vm")), version=11, older=older).boot()
        features = machine.shell("cat /sys/bus/virtio/devices/virtio0/features").strip()
        assert features[VIRTIO_GPU_F_RESOURCE_BLOB] == "1"
        assert features[VIRTIO_GPU_F_VIRGL] == ("1" if allocate == "host" else "0")
        return display, machine

    return start


def ways(display):
    return {buffer["way"] for buffer in display.list("buffers") if buffer["owner"] == "vm"}


def copied(display):
    (machine,) = display.list("vms")
    return machine["pixels_copied"]


def settled(read):
    """A number once it stays: the back-end reports it some time after it has changed."""
    seen = [None]

    def is_settled():
        seen.append(read())
        time.sleep(0.2)
        return seen[-1] == seen[-2]

    wait_for(is_settled, lambda: f"{seen[-1]} stays")
    return seen[-1]


def memory_files(display):
    """How many memory files the back-end has open, and how many pieces of such files are mapped."""
    pid = display.part("gpu", "vm")
    links = (os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd"))
    with open(f"/proc/{pid}/maps") as maps:
        return sum("memfd:" in link for link in links), sum("memfd:" in line for line in maps)


def test_dumb_framebuffers_are_shown_from_the_guests_own_pages_and_no_pixel_is_copied(boot):
    display, machine = boot("guest")
    painter = machine.painter()
    painter.fill(1)
    display.wait_for_picture("vm", painted(SIZE, 1))
    painter.rectangle(100, 50, 64, 64, (10, 200, 30))
    display.wait_for_picture("vm", with_rectangle(painted(SIZE, 1), 100, 50, 64, 64, (10, 200, 30)))
    painter.flip(2, 100)
    display.wait_for_picture("vm", painted(SIZE, 2))
    assert ways(display) == {"ranges"}
    assert copied(display) == 0
    painter.cursor(10, 10)
    painter.hide_cursor()
    display.wait_for_picture("vm", painted(SIZE, 2))
    assert "*ERROR*" not in machine.serial_log, "the guest's kernel was refused nothing"


def test_blobs_are_shown_at_the_strides_and_offsets_that_the_guest_gives(boot):
    display, machine = boot("guest")
    for seed, memory in enumerate(["guest 0 4096", "guest 64 0", "guest 4 260"], 1):
        painter = machine.painter(memory=memory)
        painter.fill(seed)
        display.wait_for_picture("vm", painted(SIZE, seed))
        painter.flip(seed + 10, 3)
        display.wait_for_picture("vm", painted(SIZE, seed + 10))
        painter.quit()
    assert copied(display) == 0


def test_a_display_that_may_not_see_the_guests_memory_gets_a_copy_of_what_is_flushed(boot):
    """Linux 6.12 flushes all of a picture that has not always been on the screen, whatever a program says of it."""
    display, machine = boot("guest", display={"sees_guest_memory": False})
    painter = machine.painter()
    painter.fill(1)
    display.wait_for_picture("vm", painted(SIZE, 1))
    before = settled(lambda: copied(display))
    assert before > 0 and ways(display) == {"copy"}
    painter.rectangle(100, 50, 64, 64, (10, 200, 30))
    display.wait_for_picture("vm", with_rectangle(painted(SIZE, 1), 100, 50, 64, 64, (10, 200, 30)))
    assert settled(lambda: copied(display)) - before == SIZE[0] * SIZE[1]


def test_a_copy_takes_the_pixels_that_the_guest_says_have_changed_and_no_others(boot):
    display, machine = boot("guest", older=True, display={"sees_guest_memory": False})
    painter = machine.painter()
    painter.fill(1)
    expected = painted(SIZE, 1)
    display.wait_for_picture("vm", expected)
    assert ways(display) == {"copy"}
    for place in [(100, 50, 64, 64), (0, 0, 1, 1), (639, 399, 1, 1), (0, 200, 640, 3), (301, 7, 3, 390)]:
        before = settled(lambda: copied(display))
        painter.rectangle(*place, (10, 200, 30))
        expected = with_rectangle(expected, *place, (10, 200, 30))
        display.wait_for_picture("vm", expected)
        assert settled(lambda: copied(display)) - before == place[2] * place[3]


@pytest.mark.parametrize("memory", ["host", "host 64 4096"])
def test_blobs_in_the_hosts_memory_are_drawn_through_the_window_and_shown_without_a_copy(boot, memory):
    display, machine = boot("host")
    idle = memory_files(display)[0]
    painter = machine.painter(memory=memory)
    painter.fill(1)
    display.wait_for_picture("vm", painted(SIZE, 1))
    painter.flip(2, 20)
    display.wait_for_picture("vm", painted(SIZE, 2))
    assert "host memory" in ways(display) and copied(display) == 0
    painter.quit()
    wait_for(lambda: memory_files(display)[0] <= idle, lambda: f"{memory_files(display)} memory files, before {idle}")
    assert machine.process.is_running


def test_dumb_framebuffers_of_host_allocation_are_2d_resources(boot):
    display, machine = boot("host")
    painter = machine.painter()
    painter.fill(1)
    display.wait_for_picture("vm", painted(SIZE, 1))
    assert ways(display) == {"copy"}


def test_reset_of_a_machine_with_live_maps_leaves_nothing_behind(boot):
    display, machine = boot("host")
    idle = memory_files(display)
    for seed in (1, 2, 3):
        painter = machine.painter(memory="host")
        painter.fill(seed)
        display.wait_for_picture("vm", painted(SIZE, seed))
        machine.qmp("system_reset")
        machine.console.wait_until_ready()
        assert machine.process.is_running
        wait_for(lambda: memory_files(display) <= idle, lambda: f"{memory_files(display)} memory files, before {idle}")
    machine.painter(memory="host").fill(4)
    display.wait_for_picture("vm", painted(SIZE, 4))


def test_kill_of_a_machine_with_live_maps_leaves_nothing_behind(boot, machines):
    display, machine = boot("host")
    old = display.part("gpu", "vm")
    painter = machine.painter(memory="host")
    painter.fill(1)
    display.wait_for_picture("vm", painted(SIZE, 1))
    machine.kill()
    wait_for(lambda: memory_files(display) == (0, 0), lambda: f"{memory_files(display)} memory files")
    (vm,) = display.list("vms")
    assert vm["memory_used"] == 0 and vm["buffers"] == 0
    machine = machines("second", generic_gpu(display.socket("vm")), version=11).boot()
    machine.painter(memory="host").fill(2)
    display.wait_for_picture("vm", painted(SIZE, 2))
    assert display.part("gpu", "vm") == old


def test_standalone_back_end_has_a_window_too(standalone, machines):
    """Nobody shows the pictures: the VMM has no display socket for this device. The guest does not notice."""
    gpu = standalone("--size", "640x400", "--allocate", "host")
    machine = machines("vm", generic_gpu(gpu.socket), version=11).boot()
    painter = machine.painter(memory="host")
    painter.fill(1)
    painter.flip(2, 5)
    assert "*ERROR*" not in machine.serial_log
