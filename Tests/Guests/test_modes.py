"""Screens that move and change their size while their guests run."""

from harness.machines import generic_gpu, vhost_user_gpu
from harness.muntin import Screen
from harness.pictures import difference, painted
from harness.waiting import wait_for


def offered_mode(display, machine):
    """The size that the hub knows the machine's first scanout to offer."""
    vm = next(vm for vm in display.list("vms") if vm["name"] == machine)
    return vm["scanouts"][0]["mode"]


def test_another_size_is_a_hot_plug_event_and_the_guest_can_take_it(up, machines):
    display = up({"vm": [Screen(0, 0, 640, 400)], "other": [Screen(960, 0, 320, 400)]})
    machine = machines("vm", generic_gpu(display.socket("vm")), version=11).boot()
    modes = "cat /sys/class/drm/card0-Virtual-1/modes"
    assert machine.shell(modes).split()[0] == "640x400"
    display.place(vm=[Screen(0, 0, 600, 360)])
    # Nobody in the guest asks: its kernel looks because of the event. (For its console it looks for modes that are not
    # larger than the console's picture.)
    wait_for(lambda: machine.shell(modes).split()[:1] == ["600x360"], "the guest's connector has the new mode", 20)
    painter = machine.painter()
    assert painter.size == (600, 360)
    painter.fill(1)
    display.wait_for_picture("vm", painted(painter.size, 1))
    display.place(vm=[Screen(160, 0, 800, 384)])
    taken = lambda: painter.ask("use 0").split()[-1] == "800x384"
    wait_for(taken, "the connector's new mode can be taken while a picture is shown", 20)
    painter.fill(2)
    display.wait_for_picture("vm", painted((800, 384), 2))


def test_front_end_that_refuses_changes_keeps_its_guest_drawing_and_offers_the_new_size_after_a_reboot(up, machines):
    display = up({"vm": [Screen(0, 0, 640, 400)]})
    machine = machines("vm", vhost_user_gpu(display.socket("vm"))).boot()
    painter = machine.painter()
    painter.fill(1)
    display.wait_for_picture("vm", painted((640, 400), 1))
    parts = [display.part("gpu", "vm"), display.part("hub"), display.part("compositor")]
    display.place(vm=[Screen(640, 0, 320, 200)])
    wait_for(lambda: offered_mode(display, "vm") == "320x200", "the back-end offers the new size")
    # The old picture, half as large, in its new place.
    halved = painted((640, 400), 1).resize((320, 200))
    wait_for(lambda: close(display.look("vm"), halved), "the picture is scaled into its new area")
    painter.fill(4)
    halved = painted((640, 400), 4).resize((320, 200))
    wait_for(lambda: close(display.look("vm"), halved), "the guest still draws")
    painter.quit()
    machine.console.send("reboot -f")
    machine.console.wait_until_ready()
    painter = machine.painter()
    assert painter.size == (320, 200)
    painter.fill(3)
    display.wait_for_picture("vm", painted((320, 200), 3))
    assert parts == [display.part("gpu", "vm"), display.part("hub"), display.part("compositor")]


def test_moved_screens_show_their_pictures_at_once_and_leave_nothing_behind(up, machines):
    display = up({"vm": [Screen(0, 0, 640, 400)]})
    painter = machines("vm", vhost_user_gpu(display.socket("vm"))).boot().painter()
    painter.fill(1)
    display.wait_for_picture("vm", painted((640, 400), 1))
    display.place(vm=[Screen(640, 0, 640, 400)])
    display.wait_for_picture("vm", painted((640, 400), 1))
    left = display.screenshot().crop((0, 0, 640, 400))
    assert left.getcolors() == [(640 * 400, (0, 0, 0))]


def close(actual, expected):
    """Whether two pictures look alike: scaled pixels are mixed in more than one right way."""
    if difference(actual, expected) is None:
        return True
    pairs = zip(actual.convert("RGB").resize((16, 10)).tobytes(), expected.resize((16, 10)).tobytes())
    return all(abs(first - second) < 40 for first, second in pairs)
