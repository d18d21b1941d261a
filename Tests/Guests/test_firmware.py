"""A machine without an operating system: OVMF draws through its own virtio-gpu driver, which is not Linux."""

from harness.machines import vhost_user_gpu
from harness.muntin import Screen
from harness.waiting import wait_for


def test_shell_of_the_firmware_is_on_the_display(up, machines):
    display = up({"vm": [Screen(0, 0, 1280, 800)]}, size=(1280, 800))
    machine = machines("vm", vhost_user_gpu(display.socket("vm")), firmware=True).start()
    wait_for(lambda: "Shell>" in machine.serial_log, lambda: f"the shell:\n{machine.serial_log[-2000:]}", 90)
    wait_for(lambda: is_text_on_black(display.look("vm")), "the shell's text on a black screen", 20)


def is_text_on_black(picture):
    """Mostly black, with some thousand pixels of bright letters."""
    colours = {colour: count for count, colour in picture.getcolors(maxcolors=1 << 24)}
    pixels = picture.width * picture.height
    letters = sum(count for colour, count in colours.items() if max(colour) >= 0x98)
    return colours.get((0, 0, 0), 0) > pixels * 0.9 and 1500 < letters < pixels * 0.1
