"""What `make install` leaves is what libvirt and QEMU look for."""

import json
import subprocess

from harness.environment import MUNTIN, PROJECT


def test_installed_descriptor_names_a_back_end_that_tells_its_capabilities(built, folder):
    command = ["make", "-s", "-C", PROJECT, "install", f"PREFIX={folder}", f"MUNTIN={MUNTIN}"]
    installed = subprocess.run(command, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr
    descriptor = json.loads((folder / "share/qemu/vhost-user/60-muntin-gpu.json").read_text())
    assert descriptor["type"] == "gpu"
    printed = subprocess.run([descriptor["binary"], "--print-capabilities"], capture_output=True, text=True)
    assert json.loads(printed.stdout)["type"] == "gpu", printed.stderr
