"""Virtual machines: QEMU with one of the guests that Scripts/prepare-guest made."""

import json
import shutil
import socket
from pathlib import Path

from PIL import Image

from .console import Console
from .environment import ACCELERATOR, GUEST, OVMF_CODE, OVMF_VARIABLES, QEMU, QEMU11
from .pictures import difference
from .processes import Process
from .waiting import wait_for


def vhost_user_gpu(socket_path, scanouts=1):
    """Arguments that attach QEMU 10's own kind of front-end."""
    device = f"vhost-user-gpu-pci,id=gpu0,chardev=gpu,max_outputs={scanouts}"
    return ["-chardev", f"socket,id=gpu,path={socket_path}", "-device", device]


def generic_gpu(socket_path):
    """Arguments that attach QEMU 11's generic front-end, which passes every feature through."""
    device = "vhost-user-test-device-pci,chardev=gpu,virtio-id=16,num_vqs=2,config_size=20,vq_size=256"
    return ["-chardev", f"socket,id=gpu,path={socket_path}", "-device", device]


def more_disk(path):
    """Arguments for a disk besides the guest's own: /dev/vdb of large ones."""
    return ["-drive", f"file={path},format=raw,if=virtio,readonly=on"]


class Vm:
    """One QEMU. All guests have `paint`; `large` ones have Weston, kmscube and modetest too, and boot slower. `older`
    ones, which are small, have Linux 6.1, which flushes what a program marked dirty, where 6.12 flushes all of a picture."""

    def __init__(
        self, folder, name, gpu, large=False, version=10, run=None, extra=(), firmware=False, older=False,
        accelerator=ACCELERATOR, pass_fds=(), initrd=None, memory=None, display="none", environment=None,
    ):  # fmt: skip
        self.folder = Path(folder) / name
        self.folder.mkdir(exist_ok=True)
        self.name = name
        self._qmp = None
        self._console = None
        self.serial_path = self.folder / "serial.sock"
        self.qmp_path = self.folder / "qmp.sock"
        self._kernel = GUEST / "older" if older else GUEST
        self._initrd = initrd or self._kernel / "initrd"
        memory = memory or (1024 if large else 384)
        arguments = [
            QEMU11 if version == 11 else QEMU,
            "-machine", f"q35,accel={accelerator},memory-backend=ram",
            "-object", f"memory-backend-memfd,id=ram,size={memory}M,share=on",
            "-m", f"{memory}M",
            "-smp", 1,
            "-cpu", "max",
            "-nodefaults",
            "-display", display,
            "-chardev", f"socket,id=serial,path={self.serial_path},server=on,wait=off,logfile={self.folder / 'serial.log'}",
            "-serial", "chardev:serial",
            "-qmp", f"unix:{self.qmp_path},server=on,wait=off",
        ]  # fmt: skip
        self.arguments = arguments + (self._firmware() if firmware else self._boot(large, run)) + list(gpu) + list(extra)
        self.process = None
        self._has_firmware = firmware
        self._pass_fds = pass_fds
        self._environment = environment

    def _boot(self, large, run):
        command_line = "console=ttyS0 quiet panic=-1" + (f' run="{run}"' if run else "")
        disk = ["-drive", f"file={GUEST / 'rootfs.ext4'},format=raw,if=virtio,readonly=on"] if large else []
        return ["-kernel", self._kernel / "vmlinuz", "-initrd", self._initrd, "-append", command_line] + disk

    def _firmware(self):
        """No operating system: OVMF, whose own virtio-gpu driver shows its shell."""
        variables = self.folder / "variables.fd"
        shutil.copy(OVMF_VARIABLES, variables)
        return [
            "-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}",
            "-drive", f"if=pflash,format=raw,file={variables}",
        ]  # fmt: skip

    def start(self):
        self.process = Process("qemu", self.arguments, self.folder, self._environment, self._pass_fds)
        wait_for(lambda: self.qmp_path.exists() or not self.process.is_running, "QEMU listens")
        self.process.expect_running()
        # What is said before somebody listens is lost. Firmware waits for a listener that does not read.
        if not self._has_firmware:
            _ = self.console
        return self

    def boot(self, seconds=90.0):
        """Starts it and waits until the guest obeys."""
        self.start()
        self.console.wait_until_ready(seconds)
        return self

    @property
    def console(self):
        if self._console is None:
            self._console = Console(self.serial_path)
        return self._console

    @property
    def serial_log(self):
        return (self.folder / "serial.log").read_text(errors="replace")

    def shell(self, command, seconds=30.0, check=True):
        return self.console.shell(command, seconds, check)

    def painter(self, connector=0, size=None, memory=None):
        return self.console.painter(connector, size, memory)

    def qmp(self, command, **arguments):
        """Runs one command of QEMU's machine protocol and returns its answer."""
        if self._qmp is None:
            self._qmp = Qmp(self.qmp_path)
        return self._qmp.run(command, arguments)

    def screendump(self, head=None):
        """The picture that QEMU's own display shows."""
        path = self.folder / "screen.png"
        where = {} if head is None else {"device": "gpu0", "head": head}
        self.qmp("screendump", filename=str(path), format="png", **where)
        with Image.open(path) as picture:
            return picture.convert("RGB")

    def wait_for_screen(self, expected, head=None, seconds=15.0):
        """Waits until QEMU's own display is equal to the expected picture, to the last bit."""
        seen = []

        def same():
            seen[:] = [difference(self.screendump(head), expected)]
            return seen[0] is None

        wait_for(same, lambda: seen[0], seconds)

    def kill(self):
        """kill -9, as a crash of the VMM."""
        self._disconnect()
        if self.process:
            self.process.kill()

    def stop(self):
        self._disconnect()
        if self.process:
            self.process.stop()

    def _disconnect(self):
        for link in (self._console, self._qmp):
            if link:
                link.close()
        self._console = self._qmp = None


class Qmp:
    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("r")
        self._lines.readline()
        self.run("qmp_capabilities", {})

    def run(self, command, arguments):
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            line = self._lines.readline()
            assert line, f"QEMU closed its machine protocol during {command}"
            answer = json.loads(line)
            if "error" in answer:
                raise AssertionError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def close(self):
        self._lines.close()
        self._socket.close()
