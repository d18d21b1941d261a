"""A guest whose shader never ends: its card ends, and is there again; nobody else notices."""

import struct
import threading

import pytest

from harness.card3d import (
    BGRA, BIND_OBJECT, BIND_RENDER_TARGET, BIND_SAMPLER_VIEW, BIND_SHADER, BIND_VERTEX_BUFFER, BUFFER, CREATE_OBJECT,
    Card3D, DRAW_VBO, FRAGMENT, RESOURCE_INLINE_WRITE, SET_FRAMEBUFFER_STATE, SET_VERTEX_BUFFERS, SURFACE, VERTEX,
    VERTEX_ELEMENTS, build, command, shader,
)  # fmt: skip
from harness.inside import Inside, initrd_with
from harness.machines import vhost_user_gpu
from harness.muntin import Screen
from harness.pictures import painted, shows_placeholder
from harness.rendering import VIRGL, need_virgl
from harness.waiting import wait_for

SIZE = 320, 240
HANG_SECONDS = 4
BLEND, RASTERIZER, DEPTH = 1, 2, 3
SET_VIEWPORT = 4
FLOATS = 31  # four of them: R32G32B32A32_FLOAT
HUGE = 0xFFFFFFFF

PASSES_ON = "VERT\nDCL IN[0]\nDCL OUT[0], POSITION\n  0: MOV OUT[0], IN[0]\n  1: END\n"

# Goes on until a number that never leaves 0...1 is above 10. Mesa's software driver gives up after 65,535 turns; for each of
# the sixteen million pixels that are drawn.
ENDLESS = """FRAG
DCL OUT[0], COLOR
DCL TEMP[0..1]
IMM[0] FLT32 {0.7, 1.0, 3.9, 10.0}
  0: MOV TEMP[0], IMM[0].xxxx
  1: BGNLOOP :10
  2: ADD TEMP[1], IMM[0].yyyy, -TEMP[0]
  3: MUL TEMP[0], TEMP[0], TEMP[1]
  4: MUL TEMP[0], TEMP[0], IMM[0].zzzz
  5: SLT TEMP[1].x, IMM[0].wwww, TEMP[0].xxxx
  6: IF TEMP[1].xxxx :9
  7: BRK
  8: ENDIF
  9: ENDLOOP :1
 10: MOV OUT[0], TEMP[0]
 11: END
"""

ONE_COLOUR = """FRAG
DCL OUT[0], COLOR
IMM[0] FLT32 {0.2, 0.4, 0.6, 1.0}
  0: MOV OUT[0], IMM[0]
  1: END
"""


def floats(*values):
    return list(struct.unpack(f"<{len(values)}I", struct.pack(f"<{len(values)}f", *values)))


def triangle(target, vertices, extent, text):
    """Commands that fill a texture by a shader."""
    corners = floats(-1, -1, 0, 1, 3, -1, 0, 1, -1, 3, 0, 1)
    half = extent / 2
    return [
        command(CREATE_OBJECT, 1, target, BGRA, 0, 0, kind=SURFACE), command(SET_FRAMEBUFFER_STATE, 1, 0, 1),
        command(CREATE_OBJECT, 2, 0, 0, 0xF << 27, *[0] * 7, kind=BLEND), command(BIND_OBJECT, 2, kind=BLEND),
        command(CREATE_OBJECT, 3, 0, 0, 0, 0, kind=DEPTH), command(BIND_OBJECT, 3, kind=DEPTH),
        command(CREATE_OBJECT, 4, 1 << 1, *floats(1), 0, 0, *floats(1, 0, 0, 0), kind=RASTERIZER),
        command(BIND_OBJECT, 4, kind=RASTERIZER),
        command(CREATE_OBJECT, 5, 0, 0, 0, FLOATS, kind=VERTEX_ELEMENTS), command(BIND_OBJECT, 5, kind=VERTEX_ELEMENTS),
        command(RESOURCE_INLINE_WRITE, vertices, 0, 0, 0, 0, 0, 0, 0, 4 * len(corners), 1, 1, *corners),
        command(SET_VERTEX_BUFFERS, 16, 0, vertices),
        shader(6, VERTEX, PASSES_ON), command(BIND_SHADER, 6, VERTEX),
        shader(7, FRAGMENT, text), command(BIND_SHADER, 7, FRAGMENT),
        command(SET_VIEWPORT, 0, *floats(half, half, 0.5, half, half, 0.5)),
        command(DRAW_VBO, 0, 3, 4, 0, 1, 0, 0, 0, 0, 0, HUGE, 0),
    ]  # fmt: skip


def textures(card, extent):
    """What is drawn into, and a place for vertices: the handle of the first, and the numbers of both in streams."""
    bind = BIND_RENDER_TARGET | BIND_SAMPLER_VIEW
    handle, target = card.create(extent, extent, bind=bind, byte_count=4 * 64 * 64)
    _, vertices = card.create(4096, target=BUFFER, format=64, bind=BIND_VERTEX_BUFFER, byte_count=4096)
    return handle, target, vertices


def start_attacker(display, machines, initrd, name):
    """A guest that shows a picture, and its program for 3D commands."""
    machine = machines(name, vhost_user_gpu(display.socket("bad")), initrd=initrd).boot()
    inside = Inside(machine)
    inside.start("paint", "paint", "^ok paint")
    inside.ask("paint", "use 0", "^ok")
    inside.ask("paint", "fill 1", "^ok")
    display.wait_for_picture("bad", painted(SIZE, 1))
    return machine, Card3D(machine.console)


class Flips(threading.Thread):
    """Flips a guest's pages, ten at a time, until it is told to stop; the milliseconds of each ten."""

    def __init__(self, painter):
        super().__init__()
        self._painter = painter
        self._is_over = threading.Event()
        self.milliseconds = []
        self.start()

    def run(self):
        while not self._is_over.is_set():
            self.milliseconds.append(self._painter.flip(len(self.milliseconds), 10))

    def end(self):
        self._is_over.set()
        self.join()
        return self.milliseconds


@pytest.fixture
def stage(built, folder, up, machines):
    """The display, the initramfs of attackers, and the painter of a neighbour."""
    need_virgl()
    screens = {"bad": [Screen(0, 0, *SIZE)], "good": [Screen(SIZE[0], 0, *SIZE)]}
    limits = {"bad": {**VIRGL, "hang_seconds": HANG_SECONDS}}
    display = up(screens, size=(2 * SIZE[0], SIZE[1]), limits=limits)
    good = machines("good", vhost_user_gpu(display.socket("good"))).boot()
    return display, initrd_with([build(folder)], folder), good.painter()


def draws(card, text):
    """Whether a texture has become one colour by a shader."""
    handle, target, vertices = textures(card, 64)
    card.submit(*triangle(target, vertices, 64, text))
    card.transfer("from", handle, (0, 0, 0, 64, 64, 1))
    return card.ask(f"look {handle} 4")


def test_a_shader_that_never_ends_costs_its_guest_the_card_and_nobody_else_a_frame(stage, machines):
    display, initrd, painter = stage
    machine, card = start_attacker(display, machines, initrd, "bad")
    assert draws(card, ONE_COLOUR) == "1 153", "a shader that ends draws"
    painter.flip(1, 10)
    alone = max(painter.flip(seed, 10) for seed in range(10))
    old = display.part("gpu", "bad")
    others = [display.part(*part) for part in [("hub",), ("compositor",), ("gpu", "good")]]

    _, target, vertices = textures(card, 4096)
    flips = Flips(painter)
    card.begin(*triangle(target, vertices, 4096, ENDLESS))
    wait_for(lambda: display.part("gpu", "bad") != old, lambda: f"the card ends:\n{display.process.log[-2000:]}", HANG_SECONDS + 6)
    wait_for(lambda: shows_placeholder(display.look("bad")), "a placeholder in the place of the guest", 3)
    new = display.wait_for_new_part("gpu", "bad", instead_of=old)
    times = flips.end()
    assert len(times) > 10
    print(f"milliseconds of ten flips: {alone} alone at most, {sorted(times)} beside the shader")
    # 50 ms is the longest that a guest waits for its display.
    assert max(times) < 10 * 50, f"frames were late: {times}"
    assert [display.part(*part) for part in [("hub",), ("compositor",), ("gpu", "good")]] == others
    painter.fill(77)
    display.wait_for_picture("good", painted(SIZE, 77))

    machine.kill()
    _, card = start_attacker(display, machines, initrd, "again")
    assert draws(card, ONE_COLOUR) == "1 153"
    assert display.part("gpu", "bad") == new
