"""The display by VNC, read with a client that others wrote."""

import subprocess
import sys

from PIL import Image

from harness.machines import vhost_user_gpu
from harness.muntin import Screen, free_port, muntin
from harness.pictures import difference, painted
from harness.waiting import wait_for


def vnc_picture(folder, port, *options, check=True):
    """What vncdotool sees; None when it could not connect."""
    path = folder / "vnc.png"
    path.unlink(missing_ok=True)
    command = [sys.executable, "-c", "from vncdotool.command import vncdo; vncdo()"]
    finished = subprocess.run(
        [*command, "-t", "20", *options, "-s", f"127.0.0.1::{port}", "capture", str(path)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if not path.exists():
        assert not check, f"vncdotool: {finished.stdout}{finished.stderr}"
        return None
    with Image.open(path) as picture:
        return picture.convert("RGB")


def test_vnc_client_sees_the_same_pixels_as_a_screenshot(up, machines, folder):
    port = free_port()
    display = up({"left": [Screen(0, 0, 640, 400)], "right": [Screen(640, 0, 640, 400)]}, output=f"vnc=127.0.0.1:{port}")
    painter = machines("left", vhost_user_gpu(display.socket("left"))).boot().painter()
    painter.fill(1)
    display.wait_for_picture("left", painted(painter.size, 1))
    assert difference(vnc_picture(folder, port), display.screenshot()) is None
    painter.rectangle(11, 13, 100, 50, (9, 8, 7))
    wait_for(lambda: display.look("left").getpixel((11, 13)) == (9, 8, 7), "the rectangle")
    assert difference(vnc_picture(folder, port), display.screenshot()) is None


def test_vnc_display_with_a_password_opens_to_those_who_know_it(up, folder):
    port = free_port()
    password = folder / "password"
    password.write_text("quince\n")
    password.chmod(0o600)
    display = up(
        {"vm": [Screen(0, 0, 640, 400)]},
        output=f"vnc=127.0.0.1:{port}",
        display={"password_file": password},
    )
    assert difference(vnc_picture(folder, port, "-p", "quince"), display.screenshot()) is None
    assert vnc_picture(folder, port, "-p", "medlar", check=False) is None
    assert difference(vnc_picture(folder, port, "-p", "quince"), display.screenshot()) is None


def test_vnc_on_other_than_loopback_addresses_is_refused_without_a_password(up):
    display = up({"vm": [Screen(0, 0, 640, 400)]})
    refused = muntin(
        "compositor", "--hub", display.hub, "--display", "other", "--output", f"vnc=0.0.0.0:{free_port()}", check=False
    )
    assert refused.returncode != 0
    assert "password" in refused.stderr
