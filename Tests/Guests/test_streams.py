"""Command streams that broke virglrenderer in the past, and such as nobody means, from one guest: its renderer may refuse
them or die alone. The hub, the compositor, the other VM and its graphics card do not notice."""

import random

import pytest

from harness.card3d import (
    BGRA, BIND_OBJECT, BIND_RENDER_TARGET, BIND_SAMPLER_VIEW, BIND_SHADER, BIND_VERTEX_BUFFER, BLIT, BUFFER, COMPUTE,
    COPY_TRANSFER3D, CREATE_OBJECT, CREATE_SUB_CTX, Card3D, DESTROY_OBJECT, DESTROY_SUB_CTX, DRAW_VBO, FRAGMENT,
    LAST_COMMAND, LAUNCH_GRID, RESOURCE_COPY_REGION, RESOURCE_INLINE_WRITE, SAMPLER_VIEW, SET_FRAMEBUFFER_STATE,
    SET_SAMPLER_VIEWS, SET_SUB_CTX, SET_VERTEX_BUFFERS, SHADER, SURFACE, TRANSFER3D, VERTEX, VERTEX_ELEMENTS, build,
    command, shader,
)  # fmt: skip
from harness.console import GuestError
from harness.inside import initrd_with
from harness.machines import vhost_user_gpu
from harness.muntin import Screen
from harness.pictures import painted
from harness.rendering import VIRGL, need_virgl
from harness.waiting import TooLong, wait_for

SIZE = 320, 240
HUGE = 0xFFFFFFFF


# Each is one attack, named as it was published; `card` is the guest's program.


def cve_2016_10163_sub_contexts_made_again(card):
    card.submit(*[command(CREATE_SUB_CTX, 1)] * 2000)


def cve_2017_5580_a_shader_that_ends_in_an_instruction(card):
    for text in ["VERT\nDCL IN[0]\nDCL OUT[0], POSITION\n  0: MOV", "FRAG\n  0: ", "VERT\nDCL TEMP[0..", "FRAG\nIMM[0] FLT32 {"]:
        card.ask("context")
        card.submit(shader(1, VERTEX, text))


def cve_2017_5937_formats_that_are_none(card):
    for kind in (SURFACE, SAMPLER_VIEW):
        for format in (0, 400, 0xFFFF, HUGE):
            card.ask("context")
            _, resource = card.create(64, 64)
            card.submit(command(CREATE_OBJECT, 1, resource, format, 0, 0, 0o3210, kind=kind))


def cve_2017_5956_vertices_from_a_buffer_that_is_none(card):
    _, resource = card.create(64, 64)
    card.submit(
        command(CREATE_OBJECT, 1, 0, 0, 99, 31, kind=VERTEX_ELEMENTS), command(BIND_OBJECT, 1, kind=VERTEX_ELEMENTS),
        command(CREATE_OBJECT, 2, resource, BGRA, 0, 0, kind=SURFACE), command(SET_FRAMEBUFFER_STATE, 1, 0, 2),
        command(SET_VERTEX_BUFFERS, 16, 0, resource), command(DRAW_VBO, 0, 3, 4, 0, 1, 0, 0, 0, 0, 0, HUGE, 0),
    )  # fmt: skip


def cve_2017_5957_more_colour_buffers_than_there_are(card):
    for count in (9, 200, HUGE):
        card.ask("context")
        card.submit(command(SET_FRAMEBUFFER_STATE, count, 0, *[1] * 200))


def cve_2017_5994_more_vertex_elements_than_there_are(card):
    for count in (33, 200):
        card.ask("context")
        card.submit(command(CREATE_OBJECT, 1, *[0, 0, 0, 31] * count, kind=VERTEX_ELEMENTS))


def cve_2017_6209_a_word_longer_than_its_place(card):
    for text in ["VERT\nPROPERTY " + "A" * 2000, "A" * 2000, "FRAG\nDCL IN[0], " + "A" * 2000]:
        card.ask("context")
        card.submit(shader(1, VERTEX, text))


def cve_2017_6210_contexts_that_are_none(card):
    for commands in [[command(DESTROY_SUB_CTX, 0)], [command(SET_SUB_CTX, 77)], [command(DESTROY_SUB_CTX, 77)]]:
        card.ask("context")
        card.submit(*commands, command(DRAW_VBO, *[0] * 12), command(DESTROY_OBJECT, 1))


def cve_2017_6317_shaders_that_replace_each_other(card):
    text = "FRAG\nDCL OUT[0], COLOR\nIMM[0] FLT32 {1, 1, 1, 1}\n  0: MOV OUT[0], IMM[0]\n  1: END\n"
    for _ in range(100):
        card.submit(shader(1, FRAGMENT, text), command(BIND_SHADER, 1, FRAGMENT), command(DESTROY_OBJECT, 1, kind=SHADER))


def cve_2017_6355_shaders_longer_than_they_are(card):
    for length, tokens in [(HUGE >> 1, 300), (HUGE, 300), (0x7FFFFFFC, HUGE), (40, HUGE), (1 << 31 | 8, 300)]:
        card.ask("context")
        card.submit(shader(1, VERTEX, "VERT\n" * 8, length, tokens))
        card.submit(command(CREATE_OBJECT, 1, VERTEX, 1 << 31 | 0x7FFFFFF0, 300, 0, *[0x41414141] * 8, kind=SHADER))


def cve_2019_18388_resources_of_nothing(card):
    for numbers in [
        dict(width=0, height=0), dict(width=64, height=64, format=0), dict(width=64, height=64, format=HUGE),
        dict(width=64, height=64, target=99), dict(width=HUGE, height=HUGE, byte_count=4096),
        dict(width=64, height=64, level=99), dict(width=64, height=64, samples=HUGE, byte_count=4096),
        dict(width=64, height=64, depth=HUGE, byte_count=4096), dict(width=64, height=64, layers=HUGE, byte_count=4096),
        dict(width=64, height=64, bind=HUGE), dict(width=64, height=64, target=BUFFER, bind=0),
    ]:  # fmt: skip
        card.ask("context")
        try:
            handle, resource = card.create(**numbers)
        except GuestError:
            continue
        card.submit(command(CREATE_OBJECT, 1, resource, BGRA, 0, 0, kind=SURFACE))
        refused(card.transfer, "to", handle, (0, 0, 0, 64, 64, 1))
        refused(card.transfer, "from", handle, (0, 0, 0, 64, 64, 1))


def cve_2019_18389_and_18391_transfers_beyond_what_is_there(card):
    handle, resource = card.create(64, 64, byte_count=4096)
    for box in [(0, 0, 0, 64, 64, 1), (0, 0, 0, 4096, 4096, 1), (HUGE, 0, 0, 2, 2, 1), (63, 63, 0, HUGE, HUGE, HUGE)]:
        for level, offset in [(0, 0), (99, 0), (0, 4092), (0, HUGE)]:
            refused(card.transfer, "to", handle, box, level, offset)
            refused(card.transfer, "from", handle, box, level, offset)
    for stride, layer in [(0, 0), (1, 1), (HUGE, HUGE), (1 << 31, 0)]:
        for direction in (1, 2):
            where = [resource, 0, 0, stride, layer, 0, 0, 0, 64, 64, 1]
            card.ask("context")
            handle, where[0] = card.create(64, 64, byte_count=4096)
            card.submit(command(TRANSFER3D, *where, 4092, direction))
            card.submit(command(RESOURCE_INLINE_WRITE, *where, 1, 2, 3, 4))


def cve_2019_18390_blits_of_formats_that_are_none(card):
    for format in (0, 399, 0xFFFF, HUGE):
        card.ask("context")
        _, resource = card.create(64, 64)
        side = [resource, 0, format, 0, 0, 0, 64, 64, 1]
        card.submit(command(BLIT, 0xFF, 0, 64 | 64 << 16, *side, *side))


def cve_2020_8002_a_grid_without_a_shader(card):
    card.submit(command(LAUNCH_GRID, 1, 1, 1, 1, 1, 1, 0, 0))
    card.submit(command(BIND_SHADER, 0, COMPUTE), command(LAUNCH_GRID, HUGE, HUGE, HUGE, HUGE, HUGE, HUGE, 5, HUGE))


def cve_2020_8003_a_texture_that_there_is_no_memory_for(card):
    for _ in range(3):
        try:
            handle, resource = card.create(16384, 16384, layers=64, byte_count=4096)
        except GuestError:
            continue
        card.submit(command(CREATE_OBJECT, 1, resource, BGRA, 0, 0, kind=SURFACE))
        card.ask(f"close {handle}")
        card.ask("context")


def cve_2022_0135_copies_from_less_than_they_take(card):
    _, source = card.create(4096, target=BUFFER, format=64, bind=1 << 19, byte_count=4096)
    _, target = card.create(1024, 1024, byte_count=4096)
    for offset in (0, 4092, HUGE):
        for flags in (0, 1, 2, 3):
            where = [target, 0, 0, 0, 0, 0, 0, 0, 1024, 1024, 1]
            card.submit(command(COPY_TRANSFER3D, *where, source, offset, flags))
    card.submit(command(RESOURCE_COPY_REGION, target, 0, HUGE, HUGE, 0, target, 0, 0, 0, 0, 2048, 2048, 9))


def objects_that_are_none(card):
    card.submit(
        command(SET_SAMPLER_VIEWS, FRAGMENT, 0, *[9] * 40), command(SET_SAMPLER_VIEWS, 77, HUGE, 1),
        command(BIND_OBJECT, 9, kind=VERTEX_ELEMENTS), command(SET_VERTEX_BUFFERS, *[0, 0, 9] * 40),
    )  # fmt: skip


def every_command_at_every_small_length(card):
    for code in range(LAST_COMMAND + 1):
        for value in (1, HUGE):
            card.ask("context")
            for length in (0, 1, 5, 14):
                card.submit(command(code, *[value] * length, kind=value & 15))
        card.submit(command(code, 0, length=0xFFFF))


PUBLISHED = [
    cve_2016_10163_sub_contexts_made_again, cve_2017_5580_a_shader_that_ends_in_an_instruction,
    cve_2017_5937_formats_that_are_none, cve_2017_5956_vertices_from_a_buffer_that_is_none,
    cve_2017_5957_more_colour_buffers_than_there_are, cve_2017_5994_more_vertex_elements_than_there_are,
    cve_2017_6209_a_word_longer_than_its_place, cve_2017_6210_contexts_that_are_none,
    cve_2017_6317_shaders_that_replace_each_other, cve_2017_6355_shaders_longer_than_they_are,
    cve_2019_18388_resources_of_nothing, cve_2019_18389_and_18391_transfers_beyond_what_is_there,
    cve_2019_18390_blits_of_formats_that_are_none, cve_2020_8002_a_grid_without_a_shader,
    cve_2020_8003_a_texture_that_there_is_no_memory_for, cve_2022_0135_copies_from_less_than_they_take,
    objects_that_are_none, every_command_at_every_small_length,
]  # fmt: skip


def random_streams(card, seed):
    """Commands with lengths that are right and arguments that are not."""
    dice = random.Random(seed)
    values = [0, 1, 2, 3, 4, 8, 64, BGRA, BIND_VERTEX_BUFFER, BIND_SAMPLER_VIEW, BIND_RENDER_TARGET, 0x3F800000, 1 << 31, HUGE]
    for _ in range(40):
        card.ask("context")
        card.create(64, 64)
        for _ in range(4):
            parts = [
                command(dice.randrange(LAST_COMMAND + 1), *dice.choices(values, k=dice.randrange(24)), kind=dice.randrange(12))
                for _ in range(dice.randrange(1, 8))
            ]
            card.submit(*parts)


def refused(action, *arguments):
    """Does what may fail."""
    try:
        action(*arguments)
    except GuestError:
        pass


class Attack:
    """A guest that attacks its own graphics card, beside one that goes on painting."""

    def __init__(self, display, machines, initrd):
        self._display, self._machines, self._initrd = display, machines, initrd
        self.deaths = []
        self._count = 0
        good = machines("good", vhost_user_gpu(display.socket("good"))).start()
        self._start()
        good.console.wait_until_ready()
        self.painter = good.painter()
        self._seed = 0
        self._others = self._living()

    def _living(self):
        return [self._display.part(*part) for part in [("hub",), ("compositor",), ("gpu", "good")]]

    def _start(self):
        self._pid = wait_for(lambda: self._display.part("gpu", "bad"), "the attacker's card runs", 30)
        self._count += 1
        gpu = vhost_user_gpu(self._display.socket("bad"))
        self._machine = self._machines(f"bad{self._count}", gpu, initrd=self._initrd).boot()
        self._card = Card3D(self._machine.console)

    def run(self, name, body, *arguments):
        """One attack. When the card's process dies of it, it is started again with another guest."""
        try:
            self._card.ask("context")
            body(self._card, *arguments)
        except (GuestError, TooLong):
            if self._display.part("gpu", "bad") == self._pid:
                raise
        if self._display.part("gpu", "bad") != self._pid:
            self.deaths.append(name)
            self._machine.kill()
            self._start()

    def expect_nobody_noticed(self):
        assert self._living() == self._others, "a process of others ended"
        self._seed += 1
        self.painter.fill(self._seed)
        self._display.wait_for_picture("good", painted(self.painter.size, self._seed))


@pytest.fixture
def attack(built, folder, up, machines):
    need_virgl()
    screens = {"bad": [Screen(0, 0, *SIZE)], "good": [Screen(SIZE[0], 0, *SIZE)]}
    display = up(screens, size=(2 * SIZE[0], SIZE[1]), limits={"bad": VIRGL})
    return Attack(display, machines, initrd_with([build(folder)], folder))


def test_streams_that_harm_the_renderer_harm_nobody_else(attack):
    for body in PUBLISHED:
        attack.run(body.__name__, body)
        attack.expect_nobody_noticed()
    for seed in range(3):
        attack.run(f"seed {seed}", random_streams, seed)
        attack.expect_nobody_noticed()
    print(f"{len(PUBLISHED) + 3} attacks; the renderer died of: {attack.deaths or 'none'}")


def test_new_resources_hold_nothing_of_others(built, folder, standalone, machines):
    """CVE-2022-0175: what nobody has written reads as zero, or is not read at all."""
    need_virgl()
    gpu = standalone("--size", "640x480", "--virgl")
    machine = machines("vm", vhost_user_gpu(gpu.socket), initrd=initrd_with([build(folder)], folder)).boot()
    card = Card3D(machine.console)
    for bind in (BIND_VERTEX_BUFFER, 1 << 5, 1 << 6, 1 << 17, 1 << 19):
        dirty, _ = card.create(1 << 16, target=BUFFER, format=64, bind=bind, byte_count=1 << 16)
        card.ask(f"fill {dirty} 65536 90")
        card.transfer("to", dirty, (0, 0, 0, 1 << 16, 1, 1))
        card.ask(f"close {dirty}")
        clean, _ = card.create(1 << 16, target=BUFFER, format=64, bind=bind, byte_count=1 << 16)
        card.ask(f"fill {clean} 65536 77")
        card.transfer("from", clean, (0, 0, 0, 1 << 16, 1, 1))
        assert card.ask(f"look {clean} 65536") in ("65536 0", "65536 77"), f"bind {bind:#x}"
