"""`make demo-vm`, less the building: the display shows what "dash" shows, which is what "ivi" and "map" show."""

import os
import subprocess
import sys

from PIL import Image

from harness.environment import PROJECT


def test_a_compositor_in_a_machine_shows_the_screens_of_two_others(folder, built):
    environment = {**os.environ, "MUNTIN_DEMO_PICTURE": str(folder / "demo-vm.png"), "TMPDIR": str(folder)}
    command = [sys.executable, "-B", PROJECT / "Tests/Guests/demo_vm.py"]
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, timeout=420)
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]
    with Image.open(folder / "demo-vm.png") as picture:
        assert picture.size == (960, 360)
    rows = [line.split() for line in finished.stdout.splitlines()]
    owners = {row[1] for row in rows if len(row) > 8 and row[0].count("-") == 4}
    assert owners == {"ivi", "map", "dash"}
    assert not list(folder.glob("muntin-demo-*"))
