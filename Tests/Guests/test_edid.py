"""The monitor that a guest sees."""

import re
import subprocess

from harness.machines import vhost_user_gpu
from harness.muntin import Screen


def guest_edid(machine, connector="card0-Virtual-1"):
    """The bytes of the EDID that the guest's kernel read."""
    return bytes.fromhex("".join(machine.shell(f"hexdump -v -e '1/1 \"%02x\"' /sys/class/drm/{connector}/edid").split()))


def test_guest_reads_an_edid_without_faults_that_names_the_size_of_its_area(up, machines, folder):
    display = up({"vm": [Screen(0, 0, 1000, 700)]}, size=(1000, 700))
    machine = machines("vm", vhost_user_gpu(display.socket("vm"))).boot()
    edid = guest_edid(machine)
    path = folder / "edid.bin"
    path.write_bytes(edid)
    decoded = subprocess.run(["edid-decode", "--check", path], capture_output=True, text=True)
    assert decoded.returncode == 0, decoded.stdout + decoded.stderr
    assert "EDID conformity: PASS" in decoded.stdout, decoded.stdout
    assert re.search(r"DTD 1: +1000x700 ", decoded.stdout), decoded.stdout


def test_a_machine_has_the_same_monitor_after_a_restart_of_its_back_end(up, machines):
    display = up({"vm": [Screen(0, 0, 640, 400)]})
    first = machines("first", vhost_user_gpu(display.socket("vm"))).boot()
    before = guest_edid(first)
    first.kill()
    old = display.kill_part("gpu", "vm")
    display.wait_for_new_part("gpu", "vm", instead_of=old)
    second = machines("second", vhost_user_gpu(display.socket("vm"))).boot()
    assert guest_edid(second) == before


def test_preferred_mode_of_each_screen_is_its_area(up, machines):
    display = up({"vm": [Screen(0, 0, 640, 400), Screen(640, 0, 600, 300)]})
    machine = machines("vm", vhost_user_gpu(display.socket("vm"), scanouts=2)).boot()
    for number, size in [(1, "640x400"), (2, "600x300")]:
        assert machine.shell(f"head -n 1 /sys/class/drm/card0-Virtual-{number}/modes").strip() == size
