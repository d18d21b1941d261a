"""A guest's own pages in another virtual machine as a dma-buf, on the real thing: Muntin runs inside a guest whose kernel has
/dev/udmabuf, with two virtual machines that are processes there. None may see the other's memory."""

import tempfile
from pathlib import Path

import pytest

from harness.environment import INSIDE_GUEST, MUNTIN
from harness.inside import Inside, initrd_with
from harness.machines import Vm
from harness.waiting import wait_for

BYTES = 320 * 256 * 4


@pytest.fixture(scope="module")
def booted(built):
    assert INSIDE_GUEST.is_file(), f"{INSIDE_GUEST} is missing: swift build --build-tests, or name another in MUNTIN_INSIDE_GUEST"
    with tempfile.TemporaryDirectory(prefix="muntin-") as folder:
        initrd = initrd_with([MUNTIN, INSIDE_GUEST], Path(folder))
        vm = Vm(folder, "host", ["-vga", "none"], initrd=initrd, memory=768)
        try:
            vm.boot()
            yield Inside(vm)
        finally:
            vm.kill()


@pytest.fixture
def inside(booted):
    """A hub, and a and b with their cards; afterwards no dma-buf may be left."""
    booted.vm.shell("echo 1024 >/sys/module/udmabuf/parameters/list_limit")
    booted.start_hub()
    for vm in ("a", "b"):
        booted.start(f"gpu-{vm}", f"muntin gpu --socket-path /run/{vm}.sock --hub {booted.HUB} --vm {vm} --channel hub")
        wait_for(lambda: "there" in booted.vm.shell(f"[ -S /run/{vm}.sock ] && echo there", check=False), booted.logs, 60)
        booted.start(vm, f"InsideGuest share /run/{vm}.sock", "^ok ready")
    yield booted
    booted.kill_all()
    wait_for(lambda: booted.dma_bufs() == [], lambda: f"left: {booted.dma_bufs()}")


def do(inside, vm, line):
    """Has a machine do something, which must go well; what it said before the last line."""
    answer = inside.ask(vm, line, f"^(ok|failed) {line}.*")
    assert answer.group(1) == "ok", f"{vm}: {answer.group(0)}\n{inside.logs()}"
    return inside.log(vm).splitlines()[-2]


def share(inside, access="read", *grant):
    """a's picture in b."""
    do(inside, "a", f"export clock {access}")
    do(inside, "a", "fill 1")
    number = inside.vm.shell(
        " ".join(("muntin grant vm:a vm:b --name clock --access", access, *grant, "--hub", inside.HUB))
    ).strip()
    return number, do(inside, "b", f"import clock a {access}")


def pixel(inside, vm, x, y):
    return inside.ask(vm, f"pixel {x} {y}", "^pixel is (.*)").group(1)


def ledger(inside, vm, line):
    (found,) = (entry for entry in inside.list("vms") if entry["name"] == vm)
    return found["ledger"][line]["used"]


def test_a_machine_that_may_not_see_the_others_memory_has_the_picture_as_it_changes(inside):
    _, form = share(inside)
    assert form == "has shadow"
    do(inside, "b", "check 1")
    assert inside.dma_bufs() == [("udmabuf", BYTES)]
    assert inside.holders() == {"hub", "gpu-a", "gpu-b"}
    (buffer,) = inside.list("buffers")
    assert (buffer["memory"], buffer["side"], buffer["way"], buffer["reason"]) == ("dma-buf", "guest", "dma-buf", "udmabuf")
    assert ledger(inside, "a", "guest_memory") == BYTES and ledger(inside, "b", "imported") == BYTES
    # A copy of its own: what it writes there stays there.
    do(inside, "b", "set 5 5 112233")
    before = pixel(inside, "a", 5, 5)
    assert before != "112233"


def test_a_grant_that_says_shared_gives_the_pages_themselves(inside):
    _, form = share(inside, "read", "--form", "shared")
    assert form == "has shared"
    do(inside, "b", "check 1")
    do(inside, "a", "set 319 255 0a141e")
    assert pixel(inside, "b", 319, 255) == "0a141e"
    assert ledger(inside, "b", "host_memory") == 0


def test_who_was_granted_it_writes_into_the_owners_pages(inside):
    share(inside, "read-write")
    do(inside, "b", "set 0 0 0a141e")
    assert pixel(inside, "a", 0, 0) == "0a141e"


def test_what_was_offered_for_reading_cannot_be_had_for_writing(inside):
    do(inside, "a", "export clock read")
    inside.vm.shell(f"muntin grant vm:a vm:b --name clock --access read-write --hub {inside.HUB}")
    assert "no such buffer" in inside.ask("b", "import clock a read-write", "^failed .*").group(0)


@pytest.mark.parametrize("form", ["shadow", "shared"])
@pytest.mark.parametrize("end", ["revoke", "unref", "gpu-a", "a", "hub"])
def test_each_end_takes_the_picture_away_and_leaves_no_dma_buf(inside, end, form):
    number, _ = share(inside, "read", "--form", form)
    do(inside, "b", "check 1")
    if end == "revoke":
        inside.vm.shell(f"muntin revoke {number} --hub {inside.HUB}")
    elif end == "unref":
        do(inside, "a", "unref")
    else:
        inside.kill(end)
    if end != "hub":
        do(inside, "b", "gone")
    wait_for(lambda: "gpu-b" not in inside.holders(), lambda: f"{inside.holders()}")
    if end == "revoke":
        assert inside.dma_bufs() == [("udmabuf", BYTES)], "the owner's buffer is there still"
        do(inside, "a", "unref")
    wait_for(lambda: inside.dma_bufs() == [], lambda: f"{inside.dma_bufs()} of {inside.holders()}")
    if end not in ("hub", "gpu-a", "a"):
        wait_for(lambda: ledger(inside, "a", "guest_memory") == 0, lambda: f"{inside.list('vms')}")


@pytest.mark.parametrize("end", ["b", "gpu-b"])
def test_the_end_of_a_reader_takes_nothing_from_the_owner(inside, end):
    share(inside, "read", "--form", "shared")
    inside.kill(end)
    wait_for(lambda: inside.holders() == {"hub", "gpu-a"}, lambda: f"{inside.holders()}")
    do(inside, "a", "fill 2")
    do(inside, "a", "unref")
    wait_for(lambda: inside.dma_bufs() == [], lambda: f"{inside.dma_bufs()}")


def test_no_program_of_the_hosts_opens_a_dma_buf_again_for_reading_only(inside):
    share(inside)
    files = "/proc/$(cat /run/hub.pid)"
    number = inside.vm.shell(f"grep -l exp_name {files}/fdinfo/* | head -n 1").strip().split("/")[-1]
    opened = inside.vm.shell(f"( exec 3<{files}/fd/{number} ) 2>&1 && echo opened", check=False)
    assert "No such device or address" in opened and "opened" not in opened.split()


def test_what_no_dma_buf_can_be_made_of_is_refused_with_the_reason(inside):
    inside.vm.shell("echo 50 >/sys/module/udmabuf/parameters/list_limit")
    inside.kill("a", "gpu-a")
    inside.vm.shell("rm -f /run/a.sock")
    inside.start("gpu-a", f"muntin gpu --socket-path /run/a.sock --hub {inside.HUB} --vm a --channel hub")
    wait_for(lambda: "there" in inside.vm.shell("[ -S /run/a.sock ] && echo there", check=False), inside.logs, 60)
    inside.start("a", "InsideGuest share /run/a.sock", "^ok ready")
    refusal = inside.ask("a", "export clock read", "^failed .*").group(0)
    assert "list_limit" in refusal and "sees_memory_of" in refusal
    do(inside, "a", "unref")
    refusal = inside.ask("a", "export clock read-write", "^failed .*").group(0)
    assert "dma-buf only" in refusal
