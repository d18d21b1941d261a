"""A guest's 3D commands, sent as they are told: Tests/Guests/programs/card3d.c, and words of virgl's command streams."""

import struct
import subprocess

from .environment import PROJECT

# Commands, objects and what else the streams of virtio-gpu's VIRGL contexts have numbers for.
CREATE_OBJECT, BIND_OBJECT, DESTROY_OBJECT = 1, 2, 3
SET_FRAMEBUFFER_STATE, SET_VERTEX_BUFFERS, CLEAR, DRAW_VBO, RESOURCE_INLINE_WRITE = 5, 6, 7, 8, 9
SET_SAMPLER_VIEWS, BLIT, RESOURCE_COPY_REGION = 10, 16, 17
SET_SUB_CTX, CREATE_SUB_CTX, DESTROY_SUB_CTX, BIND_SHADER = 28, 29, 30, 31
LAUNCH_GRID, TRANSFER3D, COPY_TRANSFER3D = 37, 43, 45
LAST_COMMAND = 64
SHADER, VERTEX_ELEMENTS, SAMPLER_VIEW, SURFACE = 4, 5, 6, 8
VERTEX, FRAGMENT, COMPUTE = 0, 1, 5
BUFFER, TEXTURE_2D = 0, 2
BGRA = 1
BIND_RENDER_TARGET, BIND_SAMPLER_VIEW, BIND_VERTEX_BUFFER = 1 << 1, 1 << 3, 1 << 4


def command(code, *words, kind=0, length=None):
    """One command; its length may be told wrong."""
    return [code | kind << 8 | ((len(words) if length is None else length) & 0xFFFF) << 16, *words]


def text_words(text):
    """Text as words, with a zero behind it."""
    data = text.encode() + bytes(4 - len(text) % 4)
    return list(struct.unpack(f"<{len(data) // 4}I", data))


def shader(handle, stage, text, byte_count=None, tokens=300):
    """A shader in the renderer's own language, of which the length may be told wrong."""
    length = len(text) + 1 if byte_count is None else byte_count
    return command(CREATE_OBJECT, handle, stage, length, tokens, 0, *text_words(text), kind=SHADER)


def build(folder):
    """The program, for a guest's /bin."""
    program = folder / "card3d"
    source = PROJECT / "Tests/Guests/programs/card3d.c"
    flags = ["-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-I/usr/include/libdrm"]
    subprocess.run(["gcc", *flags, "-o", program, source], check=True)
    return program


class Card3D:
    """The running program; the guest's shell is busy until it quits."""

    def __init__(self, console):
        self._console = console
        console.shell("echo 1 >/proc/sys/kernel/printk")
        console.send("card3d")
        console.read_until(r"ok card3d\n", 20)

    def ask(self, line, seconds=40.0):
        """Gives a command; what it answered after "ok"."""
        return self._console.ask("card3d", line, seconds)

    def create(self, width, height=1, target=TEXTURE_2D, format=BGRA, bind=BIND_RENDER_TARGET | BIND_SAMPLER_VIEW, depth=1,
               layers=1, level=0, samples=0, flags=0, byte_count=None):  # fmt: skip
        """A resource: its handle in the guest, its number in the streams."""
        byte_count = 4 * width * height if byte_count is None else byte_count
        numbers = target, format, bind, width, height, depth, layers, level, samples, flags, byte_count
        handle, resource = self.ask("create " + " ".join(map(str, numbers))).split()
        return int(handle), int(resource)

    def blob(self, byte_count, number=0, memory=2, flags=1):
        """A blob: its handle in the guest."""
        return int(self.ask(f"blob {memory} {flags} {number} {byte_count}").split()[0])

    def is_filled(self, handle, byte_count, value):
        """Fills a blob, if it can be seen, and looks at it."""
        self.ask(f"fill {handle} {byte_count} {value}")
        return self.ask(f"look {handle} {byte_count}") == f"{byte_count} {value}"

    def submit(self, *commands):
        """A stream; microseconds until its fence."""
        words = [f"{word & 0xFFFFFFFF:x}" for part in commands for word in part]
        return float(self.ask("submit " + " ".join(_shortened(words))))

    def begin(self, *commands):
        """Gives a stream without waiting for its fence: there may be none."""
        words = [f"{word & 0xFFFFFFFF:x}" for part in commands for word in part]
        self._console.send("submit " + " ".join(_shortened(words)))

    def transfer(self, direction, handle, box, level=0, offset=0):
        self.ask(f"{direction} {handle} {level} {offset} " + " ".join(map(str, box)))

    def quit(self):
        self._console.send("quit")


def _shortened(words):
    """Words that repeat are said once: a line of the serial port has 4095 characters."""
    runs = []
    for word in words:
        if runs and runs[-1][0] == word:
            runs[-1][1] += 1
        else:
            runs.append([word, 1])
    return [word if count == 1 else f"{word}*{count}" for word, count in runs]
