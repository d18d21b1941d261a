"""What the commands say about running machines."""

import shlex
from pathlib import Path

from harness.machines import Vm, vhost_user_gpu
from harness.muntin import Screen
from harness.pictures import painted
from harness.waiting import wait_for


def test_arguments_that_are_printed_attach_a_machine(up, machines):
    display = up({"vm": [Screen(0, 0, 640, 400)]})
    for version, options in [(10, []), (11, ["--generic"])]:
        arguments = shlex.split(display.ask("qemu-arguments", *options, "vm").stdout.replace("\\\n", " "))
        machine = machines(f"vm{version}", own_memory_left_out(arguments), version=version).boot()
        painter = machine.painter()
        painter.fill(version)
        display.wait_for_picture("vm", painted(painter.size, version))
        machine.kill()


def own_memory_left_out(arguments):
    """The harness gives a machine its shared memory already; what is printed names it as well."""
    kept = []
    pairs = iter(arguments)
    for option in pairs:
        value = next(pairs)
        if option in ("-object", "-machine", "-m", "-numa"):
            continue
        kept += [option, value]
    return kept


def test_machine_is_connected_in_the_list_while_it_runs(up, machines):
    display = up({"vm": [Screen(0, 0, 640, 400)]})
    before = display.list("vms")
    machine = machines("vm", vhost_user_gpu(display.socket("vm"))).boot()
    machine.painter().fill(1)
    display.wait_for_picture("vm", painted((640, 400), 1))
    during = display.list("vms")
    assert before != during and [vm["name"] for vm in during] == ["vm"]
    assert display.list("buffers"), "a guest that draws has buffers"
    machine.kill()
    wait_for(lambda: not display.list("buffers"), "the buffers of a killed machine go")


def test_up_starts_the_machines_own_command_and_ends_it(up, folder, built):
    guest = Vm(folder, "guest", vhost_user_gpu(folder / "vm.sock"))
    command = [str(argument) for argument in guest.arguments]
    display = up({"vm": [Screen(0, 0, 640, 400)]}, commands={"vm": command})
    try:
        guest.console.wait_until_ready(90)
        painter = guest.painter()
        painter.fill(1)
        display.wait_for_picture("vm", painted(painter.size, 1))
        assert display.stop() == 0
        wait_for(lambda: b"qemu" not in running_commands(folder), "QEMU ends with muntin up")
    finally:
        guest.kill()


def running_commands(folder):
    """The command lines of processes that name this test's folder."""
    found = b""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in line and b"pytest" not in line:
            found += line
    return found
