"""dma-bufs on the real thing: Muntin itself runs inside a guest, with a virtual machine that is a process there.

One guest serves all tests of this file; each starts the programs that it needs, and ends them with kill -9."""

import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness.environment import GUEST, INSIDE_GUEST, MUNTIN, PROJECT
from harness.inside import Inside, initrd_with
from harness.machines import Vm
from harness.pictures import difference, painted
from harness.waiting import wait_for

SIZE = 640, 480
BYTES = 640 * 480 * 4
PAGES = BYTES // 4096


@pytest.fixture(scope="module")
def programs(built):
    """What runs inside: Muntin, our virtual machine and display, and two applications in C."""
    assert INSIDE_GUEST.is_file(), f"{INSIDE_GUEST} is missing: swift build --build-tests, or name another in MUNTIN_INSIDE_GUEST"
    with tempfile.TemporaryDirectory(prefix="muntin-programs-") as folder:
        subprocess.run(["make", "-s", "-C", PROJECT / "Library", f"O={folder}/library"], check=True)
        sources = [PROJECT / "Examples/consumer.c", PROJECT / "Tests/Guests/programs/udmabuf_producer.c"]
        for source in sources:
            made = Path(folder) / source.stem
            compiler = ["cc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", made, source]
            libraries = [f"{folder}/library/libmuntin.a", "-lpng16", "-lz", "-lm"]
            subprocess.run([*compiler, f"-I{PROJECT}/Library/include", *libraries], check=True)
        yield [MUNTIN, INSIDE_GUEST, *(Path(folder) / source.stem for source in sources)]


@pytest.fixture(scope="module")
def booted(programs):
    """The guest, with a graphics card that its kernel's driver cirrus shows pictures on, and one without hardware."""
    with tempfile.TemporaryDirectory(prefix="muntin-") as folder:
        devices = ["-device", "cirrus-vga", "-device", "pcie-root-port,id=spare", "-drive"]
        devices += [f"if=none,id=system,file={GUEST / 'rootfs.ext4'},format=raw,readonly=on"]
        vm = Vm(folder, "host", devices, initrd=initrd_with(programs, Path(folder)), memory=768)
        try:
            vm.boot()
            vm.shell("for module in $(cat /modules/on-request); do insmod /modules/$module; done")
            yield Inside(vm)
        finally:
            vm.kill()


@pytest.fixture
def inside(booted):
    """The guest with a hub and a graphics card for a virtual machine; afterwards no dma-buf may be left."""
    limits = "/sys/module/udmabuf/parameters"
    booted.vm.shell(f"echo 1024 >{limits}/list_limit; echo 64 >{limits}/size_limit_mb")
    booted.start_hub()
    booted.start_gpu(SIZE)
    yield booted
    booted.kill_all()
    wait_for(lambda: booted.dma_bufs() == [], lambda: f"no dma-buf is left: {booted.dma_bufs()}")


def start_vm(inside, seed, kind="blob"):
    """The virtual machine, which shows a picture whose pages lie from last to first."""
    inside.start("vm", "InsideGuest vm /run/vm.sock {}x{} {}".format(*SIZE, kind), f"^ok {PAGES} pages")
    fill(inside, seed)


def fill(inside, seed):
    inside.ask("vm", f"fill {seed}", f"^ok fill {seed}$")


def start_cards(inside, memory="any", uses="import:vgem show:cirrus"):
    """The display that gives dma-bufs to drivers of the kernel; it takes nothing else, or files, too."""
    inside.start("cards", f"InsideGuest display {inside.HUB} {memory} {uses}")


def wait_for_screenshot(inside, expected):
    seen = []

    def same():
        picture = inside.screenshot()
        seen[:] = [difference(picture, expected) if picture else "no picture"]
        return seen[0] is None

    wait_for(same, lambda: f"{seen[0]}\n{inside.logs()}", 20)


def wait_for_way(inside, way, reason):
    seen = []

    def goes():
        seen[:] = inside.list("buffers")
        return [(buffer["way"], buffer["reason"]) for buffer in seen] == [(way, reason)]

    wait_for(goes, lambda: f"{way} because {reason}: {seen}\n{inside.logs()}", 20)


def test_graphics_drivers_import_and_show_the_virtual_machines_own_pages(inside):
    start_cards(inside)
    start_vm(inside, 3)
    inside.wait_for_line("cards", "^ok vgem imports")
    inside.wait_for_line("cards", "^ok cirrus shows")
    inside.vm.wait_for_screen(painted(SIZE, 3))
    assert inside.dma_bufs() == [("udmabuf", BYTES)]
    wait_for_way(inside, "dma-buf", "udmabuf")
    # What the machine's processor writes is there at once, although nobody was told.
    inside.ask("vm", "set 639 479 0a141e", "^ok set")
    assert inside.ask("cards", "pixel 639 479", "^pixel 639 479 is (.*)").group(1) == "0a141e"
    fill(inside, 4)
    inside.vm.wait_for_screen(painted(SIZE, 4))
    (vm,) = inside.list("vms")
    assert vm["pixels_copied"] == 0


def test_our_display_composes_from_the_dma_buf_without_a_copy(inside):
    inside.start_compositor(SIZE)
    start_vm(inside, 1)
    wait_for_screenshot(inside, painted(SIZE, 1))
    fill(inside, 2)
    wait_for_screenshot(inside, painted(SIZE, 2))
    wait_for_way(inside, "dma-buf", "udmabuf")
    assert inside.dma_bufs() == [("udmabuf", BYTES)]
    wait_for(lambda: charged(inside) == BYTES, lambda: f"the ledger is as the kernel says: {charged(inside)}")
    inside.ask("vm", "drop", "^ok drop$")
    wait_for(lambda: inside.dma_bufs() == [] and inside.list("buffers") == [], "the dma-buf is gone")
    wait_for(lambda: charged(inside) == 0, lambda: f"nothing is charged: {charged(inside)}")


def charged(inside, what="guest_memory"):
    """What the ledger says that the machine has: guest memory that others were given, or of the host's."""
    (vm,) = inside.list("vms")
    assert vm["pixels_copied"] == 0
    return vm["ledger"][what]["used"]


@pytest.mark.parametrize(
    "limit, value, reason",
    [
        ("list_limit", PAGES - 1, "more ranges than udmabuf takes (list_limit)"),
        ("size_limit_mb", 1, "larger than udmabuf takes (size_limit_mb)"),
    ],
)
def test_beyond_the_systems_limits_of_udmabuf_there_are_ranges_or_a_copy_and_the_list_says_why(inside, limit, value, reason):
    inside.vm.shell(f"echo {value} >/sys/module/udmabuf/parameters/{limit}")
    inside.kill("gpu")
    inside.start_gpu(SIZE)
    inside.start_compositor(SIZE)
    start_vm(inside, 1)
    wait_for_way(inside, "ranges", reason)
    wait_for_screenshot(inside, painted(SIZE, 1))
    # The other display takes no ranges.
    start_cards(inside)
    wait_for_way(inside, "copy", reason)
    fill(inside, 2)
    wait_for_screenshot(inside, painted(SIZE, 2))
    assert inside.dma_bufs() == []


@pytest.mark.parametrize("part", ["gpu", "vm", "hub", "displays", "reset"])
def test_kill_of_any_part_and_reset_of_the_machine_leave_no_dma_buf_behind(inside, part):
    inside.start_compositor(SIZE)
    start_cards(inside)
    start_vm(inside, 1)
    wait_for_screenshot(inside, painted(SIZE, 1))
    inside.vm.wait_for_screen(painted(SIZE, 1))
    assert inside.holders() == {"gpu", "hub", "compositor", "cards"}
    if part == "displays":
        inside.kill("compositor", "cards")
        wait_for(lambda: inside.holders() <= {"gpu", "hub"}, "no display holds it")
        inside.ask("vm", "drop", "^ok drop$")
    elif part == "hub":
        inside.kill("hub")
        fill(inside, 2)
        inside.kill("cards")
        inside.start_hub()
        wait_for_screenshot(inside, painted(SIZE, 2))
        assert inside.dma_bufs() == [("udmabuf", BYTES)]
        inside.ask("vm", "drop", "^ok drop$")
    elif part == "reset":
        inside.ask("vm", "reset", "^ok reset$")
    else:
        inside.kill(part)
    wait_for(lambda: inside.dma_bufs() == [], lambda: f"{inside.dma_bufs()} held by {inside.holders()}")
    wait_for(lambda: inside.list("buffers") == [], lambda: f"{inside.list('buffers')}")
    assert inside.holders() == set()


def start_with_heap(inside, memory):
    """A machine whose picture the host allocates, from a heap if it can, and the display that gives dma-bufs to drivers."""
    inside.kill("gpu", "hub")
    inside.start_hub(trusted=["cards"])
    inside.start_gpu(SIZE, "--heap", "system")
    start_cards(inside, memory)
    start_vm(inside, 1, kind="2d")
    inside.wait_for_line("cards", "^ok vgem imports")
    inside.vm.wait_for_screen(painted(SIZE, 1))
    assert inside.dma_bufs() == [("system", BYTES)]


def test_graphics_drivers_show_what_the_host_allocates_from_a_dma_buf_heap(inside):
    start_with_heap(inside, "dma-buf")
    wait_for(lambda: charged(inside, "host_memory") == BYTES, lambda: f"the heap's memory is charged: {inside.list('vms')}")
    (buffer,) = inside.list("buffers")
    assert (buffer["memory"], buffer["side"]) == ("dma-buf", "host")
    fill(inside, 2)
    inside.vm.wait_for_screen(painted(SIZE, 2))
    inside.kill("gpu")
    wait_for(lambda: inside.dma_bufs() == [] and inside.list("buffers") == [], lambda: f"gone: {inside.dma_bufs()}")
    assert inside.holders() == set()


def test_a_picture_from_a_heap_moves_to_a_memory_file_for_a_display_that_gets_no_dma_buf(inside):
    start_with_heap(inside, "any")
    inside.start_compositor(SIZE)
    wait_for_screenshot(inside, painted(SIZE, 1))
    wait_for(lambda: inside.dma_bufs() == [], lambda: f"the dma-buf is gone: {inside.dma_bufs()}")
    assert [buffer["memory"] for buffer in inside.list("buffers")] == ["file"]
    fill(inside, 2)
    wait_for_screenshot(inside, painted(SIZE, 2))


def test_a_picture_moves_to_rows_that_a_stricter_display_can_use(inside):
    def shown():
        buffers = [buffer for buffer in inside.list("buffers") if buffer["state"] != "retired"]
        return [(buffer["memory"], buffer["way"], buffer["stride"], buffer["bytes"]) for buffer in buffers]

    inside.kill("gpu")
    inside.start_gpu(SIZE, "--heap", "system")
    inside.start_compositor(SIZE)
    start_vm(inside, 1, kind="2d")
    wait_for(lambda: shown() == [("dma-buf", "copy", 640 * 4, BYTES)], lambda: f"{shown()}\n{inside.logs()}", 20)
    start_cards(inside, "any:3072", "import:vgem")
    inside.wait_for_line("cards", "^ok vgem imports")
    wait_for(lambda: shown() == [("dma-buf", "copy", 3072, 3072 * 480)], lambda: f"{shown()}\n{inside.logs()}", 20)
    wait_for_screenshot(inside, painted(SIZE, 1))
    wait_for(lambda: inside.dma_bufs() == [("system", 3072 * 480)], lambda: f"the former is gone: {inside.dma_bufs()}")
    wait_for(lambda: charged(inside, "host_memory") == 3072 * 480, lambda: f"{inside.list('vms')}")
    fill(inside, 2)
    wait_for_screenshot(inside, painted(SIZE, 2))
    red, green, blue = painted(SIZE, 2).getpixel((639, 479))
    colour = inside.ask("cards", "pixel 639 479", "^pixel 639 479 is (.*)").group(1)
    assert colour == f"{red:02x}{green:02x}{blue:02x}"


def test_a_heap_that_is_not_there_is_named_in_the_log_and_memory_files_take_its_place(inside):
    inside.kill("gpu")
    inside.start_gpu(SIZE, "--heap", "nothing")
    inside.start_compositor(SIZE)
    start_vm(inside, 1, kind="2d")
    inside.wait_for_line("gpu", "heap not usable")
    wait_for_screenshot(inside, painted(SIZE, 1))
    assert [buffer["memory"] for buffer in inside.list("buffers")] == ["file"]


def start_gpu_with_driver(inside):
    """The graphics card with pictures by vgem's driver: Mesa and what it needs come from the large guest's disk."""
    if "/mnt" not in inside.vm.shell("mount"):
        inside.vm.qmp("device_add", driver="virtio-blk-pci", drive="system", bus="spare")
        wait_for(lambda: "vda" in inside.vm.shell("ls /dev"), "the disk is there", 30)
        inside.vm.shell("mount -t ext4 -o ro /dev/vda /mnt")
    node = inside.vm.shell("for c in /sys/class/drm/card*; do readlink -f $c; done | grep /vgem/").split("/")[-1].strip()
    libraries = "/mnt/usr/lib/x86_64-linux-gnu"
    loader = f"{libraries}/ld-linux-x86-64.so.2 --library-path {libraries}:/lib"
    inside.kill("gpu")
    inside.start_gpu(SIZE, "--heap", f"/dev/dri/{node}", muntin=f"GBM_BACKENDS_PATH={libraries}/gbm {loader} /bin/muntin")


def test_pictures_by_a_graphics_driver_are_composed_imported_and_shown(inside):
    inside.start_compositor(SIZE)
    start_cards(inside)
    start_gpu_with_driver(inside)
    start_vm(inside, 3, kind="2d")
    inside.wait_for_line("cards", "^ok vgem imports")
    inside.vm.wait_for_screen(painted(SIZE, 3))
    wait_for_screenshot(inside, painted(SIZE, 3))
    (buffer,) = inside.list("buffers")
    assert (buffer["memory"], buffer["way"], buffer["side"]) == ("dma-buf", "copy", "host")

    def made():
        # Mesa's software driver makes a dma-buf of one page for itself, by udmabuf.
        return [size for maker, size in inside.dma_bufs() if maker != "udmabuf"]

    wait_for(lambda: made() == [buffer["bytes"]] == [charged(inside, "host_memory")], lambda: f"{made()} {inside.list('vms')}")
    fill(inside, 4)
    inside.vm.wait_for_screen(painted(SIZE, 4))
    wait_for_screenshot(inside, painted(SIZE, 4))
    inside.ask("vm", "drop", "^ok drop$")
    wait_for(lambda: made() == [] and charged(inside, "host_memory") == 0, lambda: f"{inside.dma_bufs()}")


def test_a_display_that_may_not_see_machines_memory_gets_no_dma_buf(inside):
    inside.kill("hub")
    inside.start_hub(trusted=["cards"])
    inside.start_compositor(SIZE)
    start_vm(inside, 1)
    wait_for_way(inside, "copy", "a consumer may not see the VM's memory")
    wait_for_screenshot(inside, painted(SIZE, 1))
    assert inside.dma_bufs() == []
    inside.kill("compositor")
    start_cards(inside)
    inside.vm.wait_for_screen(painted(SIZE, 1))
    wait_for_way(inside, "dma-buf", "udmabuf")


def test_no_application_gets_a_virtual_machines_dma_buf_whatever_it_was_granted(inside):
    start_cards(inside)
    start_vm(inside, 1)
    inside.wait_for_line("cards", "^ok cirrus shows")
    inside.vm.shell(f"muntin grant vm:vm application:recorder --access read-write --hub {inside.HUB}")
    assert inside.vm.shell(acquire(inside, "read-write", f"--id {inside.list('buffers')[0]['id']}")).endswith(REFUSED)


def test_an_application_offers_a_dma_buf_and_another_reads_its_pixels(inside):
    inside.start("camera", f"udmabuf_producer {inside.HUB} 320 200 5", "^offered")
    inside.start("recorder", acquire(inside, "read-write", "--owner application:camera --buffer front"))
    path = inside.wait_for_line("recorder", "^frame .* in (.*)").group(1)
    assert difference(inside.picture(path), painted((320, 200), 5)) is None
    (buffer,) = inside.list("buffers")
    assert (buffer["memory"], buffer["owner"], buffer["bytes"]) == ("dma-buf", "camera", 63 * 4096)
    assert inside.holders() == {"camera", "hub", "recorder"}
    inside.kill("recorder")
    # Who has it can write it, so it is not to be had for reading only.
    assert inside.vm.shell(acquire(inside, "read", f"--id {buffer['id']}")).endswith(REFUSED)
    inside.kill("camera")
    wait_for(lambda: inside.dma_bufs() == [] and inside.list("buffers") == [], lambda: f"gone: {inside.dma_bufs()}")


REFUSED = "refused: no such buffer\n"


def acquire(inside, access, what):
    """The command of the consumer of Examples that wants a buffer."""
    return f"consumer --hub {inside.HUB} --name recorder {what} --access {access} --output /run/frame"


def test_lies_about_a_dma_buf_are_found(inside):
    said = dict(line.split(" ", 1) for line in inside.vm.shell(f"InsideGuest lies {inside.HUB}").splitlines())
    assert said["truth"].startswith("unknownObject"), "taken; the next message has an error of its own"
    assert said["longer"] == "badBuffer the dma-buf is shorter than 12288 bytes"
    assert said["file"].startswith("badBuffer ") and said["table"].startswith("badBuffer ")
    assert said["consumer"].startswith("tooShort")


def test_doctor_says_what_the_kernel_can_do(inside):
    text = inside.vm.shell("muntin doctor", check=False)
    assert "/dev/udmabuf makes dma-bufs of at most 1024 ranges and 64 MiB" in text
    assert re.search("dma-heaps .*system", text), text
