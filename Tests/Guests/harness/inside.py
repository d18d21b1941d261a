"""Muntin inside a guest, whose kernel has what the machine of the tests may lack: /dev/udmabuf, dma-buf heaps, drivers
of graphics cards."""

import base64
import io
import json
import re
import subprocess

from PIL import Image

from .environment import GUEST
from .waiting import wait_for

_OBJECT = re.compile(r"^(\d{8,})\t[0-9a-f]{8}\t[0-9a-f]{8}\t\d+\t(\S+)\t")


def shared_libraries(program):
    """The shared libraries that a program is linked with, its loader included; none for a static one."""
    listing = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", listing)))


def initrd_with(programs, folder, older=False):
    """The guest's initramfs with programs in /bin: the kernel unpacks archives that follow each other."""
    root = folder / ("older-root" if older else "root")
    for name in ("bin", "lib", "lib64"):
        (root / name).mkdir(parents=True)
    for program in programs:
        subprocess.run(["strip", "-o", root / "bin" / program.name, program], check=True)
        for library in shared_libraries(program):
            subprocess.run(["cp", "-L", library, root / ("lib64" if "ld-linux" in library else "lib")], check=True)
    pack = "find . | cpio --quiet -o -H newc -R 0:0"
    archive = subprocess.run(pack, shell=True, cwd=root, capture_output=True, check=True).stdout
    path = folder / ("older-initrd" if older else "initrd")
    path.write_bytes(((GUEST / "older" if older else GUEST) / "initrd").read_bytes() + archive)
    return path


def disk_with(program, folder):
    """Arguments for a second disk that is a program and nothing else: a guest with a root disk starts no program of its
    initramfs. See `Inside.install`."""
    disk = folder / f"{program.name}.disk"
    subprocess.run(["strip", "-o", disk, program], check=True)
    with open(disk, "ab") as file:
        file.write(bytes(-disk.stat().st_size % 512))
    return ["-drive", f"file={disk},format=raw,if=virtio,readonly=on"]


class Inside:
    """Programs that run in a guest: each has a name, a log, and a pipe to its standard input."""

    HUB = "/run/hub.sock"

    def __init__(self, vm):
        self.vm = vm
        self._running = set()

    # Programs

    @property
    def running(self):
        """The names of those that were started and not killed."""
        return set(self._running)

    def install(self, name):
        """Makes a program of the disk of `disk_with`."""
        self.vm.shell(f"cat /dev/vdb >/run/muntin/{name}; chmod +x /run/muntin/{name}")

    def start(self, name, command, expect=None, seconds=20.0):
        """Starts a program in the background and waits until it has said a line that matches."""
        assert name not in self._running, f"{name} runs"
        self._running.add(name)
        self.vm.shell(
            f"[ -p /run/{name}.in ] || mkfifo /run/{name}.in; : >/run/{name}.log; "
            f"{command} <>/run/{name}.in >/run/{name}.log 2>&1 & echo $! >/run/{name}.pid"
        )
        if expect:
            self.wait_for_line(name, expect, seconds)

    def log(self, name):
        return self.vm.shell(f"cat /run/{name}.log")

    def logs(self):
        return self.vm.shell("for log in /run/*.log; do echo \"---- $log\"; tail -n 20 $log; done")

    def wait_for_line(self, name, pattern, seconds=20.0, after=0):
        """Waits until a program has said a line that matches, not among its first `after` ones; returns the match."""

        def said():
            lines = self.log(name).splitlines()[after:]
            return next(filter(None, (re.search(pattern, line) for line in lines)), None)

        return wait_for(said, lambda: f"{name} says {pattern!r}:\n{self.logs()}", seconds, 0.1)

    def ask(self, name, line, pattern, seconds=20.0):
        """Gives a program a line and waits for its answer."""
        before = len(self.log(name).splitlines())
        self.vm.shell(f"echo {line} >/run/{name}.in")
        return self.wait_for_line(name, pattern, seconds, before)

    def kill(self, *names):
        """kill -9."""
        pids = " ".join(f"$(cat /run/{name}.pid)" for name in names)
        self._running.difference_update(names)
        self.vm.shell(f"kill -9 {pids}", check=False)

    def kill_all(self):
        self.kill(*self._running)
        self.vm.shell("rm -f /run/*.sock")

    # Muntin

    def start_hub(self, trusted=("main", "cards")):
        """A hub that trusts these displays with machines' memory."""
        trust = " ".join(f"--sees-guest-memory {display}" for display in trusted)
        self.start("hub", f"muntin hub --socket-path {self.HUB} {trust}")
        self._wait_for_socket(self.HUB)

    def start_gpu(self, size, *arguments, muntin="muntin"):
        arguments = " ".join(("--size", "{}x{}".format(*size), *arguments))
        self.start("gpu", f"{muntin} gpu --socket-path /run/vm.sock --hub {self.HUB} --vm vm {arguments}")
        self._wait_for_socket("/run/vm.sock", 60)

    def start_compositor(self, size):
        self.start("compositor", "muntin compositor --hub {} --size {}x{}".format(self.HUB, *size))

    def _wait_for_socket(self, path, seconds=20):
        listens = f"grep -q '00010000 .* {path}$' /proc/net/unix"
        wait_for(lambda: not self.vm.shell(f"{listens}; echo $?").startswith("1"), lambda: self.logs(), seconds, 0.1)

    def list(self, what):
        """What `muntin list` says; nothing while there is no hub."""
        text = self.vm.shell(f"muntin list {what} --json --hub {self.HUB}", check=False)
        return json.loads(text) if text.startswith("[") else []

    def screenshot(self):
        """What display `main` shows; None while the hub knows of no such display, or of no frame."""
        shot = f"muntin screenshot --hub {self.HUB} --display main /run/shot.png && echo there"
        return self.picture("/run/shot.png") if self.vm.shell(shot, check=False).endswith("there\n") else None

    def picture(self, path):
        """A picture that lies in the guest."""
        with Image.open(io.BytesIO(base64.b64decode(self.vm.shell(f"base64 {path}")))) as picture:
            return picture.convert("RGB")

    # What the kernel says

    def dma_bufs(self):
        """All dma-bufs that exist: (who made it, its size)."""
        self.vm.shell("[ -d /sys/kernel/debug/dma_buf ] || mount -t debugfs debugfs /sys/kernel/debug")
        lines = self.vm.shell("cat /sys/kernel/debug/dma_buf/bufinfo").splitlines()
        matches = filter(None, map(_OBJECT.match, lines))
        return sorted((match.group(2), int(match.group(1))) for match in matches)

    def holders(self):
        """The programs that have a dma-buf open or mapped."""
        held = self.vm.shell(
            "for name in " + " ".join(sorted(self._running)) + "; do p=/proc/$(cat /run/$name.pid); "
            "grep -qs exp_name $p/fdinfo/* $p/maps || grep -qs /dmabuf: $p/maps && echo $name; done; true"
        )
        return set(held.split())
