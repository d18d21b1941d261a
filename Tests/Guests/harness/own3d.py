"""QEMU's own 3D device, for comparison: it draws with the same library, by way of a window."""

import os

from .processes import Process


def own_gpu(size=(640, 480)):
    """Arguments for QEMU's own virtio-gpu-gl-pci; its window needs a `Screenless`."""
    return ["-device", f"virtio-gpu-gl-pci,id=gpu0,xres={size[0]},yres={size[1]}"]


class Screenless:
    """An X server without a screen: QEMU's windows draw there with Mesa's software driver, as virglrenderer does."""

    def __init__(self, folder):
        reader, writer = os.pipe()
        self.process = Process(
            "xvfb", ["Xvfb", "-displayfd", writer, "-screen", "0", "1280x1024x24", "-nolisten", "tcp"], folder, pass_fds=[writer]
        )
        os.close(writer)
        with os.fdopen(reader) as answer:
            self.display = f":{answer.readline().strip()}"
        assert self.display != ":", f"Xvfb says no display:\n{self.process.log[-2000:]}"

    @property
    def environment(self):
        return {"DISPLAY": self.display}

    def end(self):
        self.process.kill()
