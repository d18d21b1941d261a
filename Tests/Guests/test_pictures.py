"""What an unmodified Linux guest draws is what the display shows, pixel by pixel."""

from harness.machines import vhost_user_gpu
from harness.muntin import Screen
from harness.pictures import difference, painted, smpte, with_rectangle
from harness.waiting import wait_for


def test_painted_picture_is_on_the_display_to_the_last_bit(up, machines):
    display = up({"vm": [Screen(320, 24, 640, 352)]})
    painter = machines("vm", vhost_user_gpu(display.socket("vm"))).boot().painter()
    assert painter.size == (640, 352), "the guest takes the size of its area as its preferred mode"
    painter.fill(1)
    display.wait_for_picture("vm", painted(painter.size, 1))


def test_only_what_a_guest_marks_as_changed_changes(up, machines):
    display = up({"vm": [Screen(0, 0, 800, 400)]})
    painter = machines("vm", vhost_user_gpu(display.socket("vm"))).boot().painter()
    painter.fill(2)
    picture = painted(painter.size, 2)
    display.wait_for_picture("vm", picture)
    for x, y, width, height in [(0, 0, 1, 1), (799, 399, 1, 1), (63, 17, 301, 5), (400, 0, 3, 400)]:
        colour = (x & 255, 255, height & 255)
        painter.rectangle(x, y, width, height, colour)
        picture = with_rectangle(picture, x, y, width, height, colour)
        display.wait_for_picture("vm", picture)


def test_page_flips_end_with_the_last_frame_on_the_display(up, machines):
    display = up({"vm": [Screen(0, 0, 640, 400)]})
    painter = machines("vm", vhost_user_gpu(display.socket("vm"))).boot().painter()
    milliseconds = painter.flip(7, 60)
    display.wait_for_picture("vm", painted(painter.size, 7))
    assert milliseconds < 60 * 50, "no flip waited for the guest's limit of 50 ms"


def test_smaller_mode_is_scaled_into_its_area_or_shown_pixel_for_pixel(up, machines):
    display = up({"vm": [Screen(100, 0, 800, 600, more={"scale": "none"})]}, size=(1000, 600))
    painter = machines("vm", vhost_user_gpu(display.socket("vm"))).boot().painter(size=(640, 480))
    painter.fill(3)
    expected = painted((640, 480), 3)

    def found():
        picture = display.look("vm")
        places = ((80, 60), (0, 0))
        return any(not difference(picture.crop((x, y, x + 640, y + 480)), expected) for x, y in places)

    wait_for(found, "a 640x480 picture stands unscaled in its 800x600 area", 15)


def test_two_screens_of_one_guest_are_two_pictures(up, machines):
    display = up({"vm": [Screen(0, 0, 640, 400), Screen(640, 0, 512, 384)]})
    machine = machines("vm", vhost_user_gpu(display.socket("vm"), scanouts=2)).boot()
    painter = machine.painter()
    assert painter.ask("connectors").split()[-1] == "2"
    painter.fill(4)
    display.wait_for_picture("vm", painted((640, 400), 4))
    assert painter.ask("use 1").split()[-1] == "512x384"
    painter.fill(5)
    display.wait_for_picture("vm", painted((512, 384), 5), scanout=1)
    display.wait_for_picture("vm", painted((640, 400), 4), scanout=0)


def test_cursor_is_drawn_above_the_picture_moves_and_goes(up, machines):
    display = up({"vm": [Screen(0, 0, 640, 400)]})
    painter = machines("vm", vhost_user_gpu(display.socket("vm"))).boot().painter()
    painter.fill(6)
    picture = painted(painter.size, 6)
    display.wait_for_picture("vm", picture)
    for x, y in [(100, 100), (301, 33)]:
        painter.cursor(x, y)
        opaque = with_rectangle(picture, x + 8, y + 8, 24, 48, (255, 0, 255))

        def shown():
            return not difference(outside_of_blend(display.look("vm"), x, y), outside_of_blend(opaque, x, y))

        wait_for(shown, f"the cursor's opaque half is at {x}, {y}")
        behind, blended = (p.getpixel((x + 40, y + 30)) for p in (picture, display.look("vm")))
        for channel in range(3):
            assert abs(blended[channel] - (0x80 + behind[channel] * (255 - 0x80) / 255)) <= 1.5, "half transparent white"
    painter.hide_cursor()
    display.wait_for_picture("vm", picture)


def outside_of_blend(picture, x, y):
    """Without the cursor's half transparent half, whose rounding is the painter's own."""
    return with_rectangle(picture, x + 32, y + 8, 24, 48, (0, 0, 0))


def test_modetest_pattern_is_on_the_display_to_the_last_bit(up, machines):
    display = up({"vm": [Screen(0, 0, 1024, 768)]}, size=(1024, 768))
    machine = machines("vm", vhost_user_gpu(display.socket("vm")), large=True).boot()
    connectors = machine.shell("modetest -M virtio_gpu -c")
    connector = next(line.split()[0] for line in connectors.splitlines() if "\tconnected" in line)
    machine.console.start(f"modetest -M virtio_gpu -s {connector}:#0")
    display.wait_for_picture("vm", smpte((1024, 768)), seconds=20)
