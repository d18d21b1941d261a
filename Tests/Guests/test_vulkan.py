"""Guests with Vulkan: Mesa's Venus driver in the guest, virglrenderer's render server and a driver that draws by the
processor (lavapipe) here."""

import os
import random

import pytest

from harness.card3d import Card3D, build
from harness.console import GuestError
from harness.inside import initrd_with
from harness.machines import generic_gpu
from harness.pictures import difference, painted
from harness.processes import is_running, is_shut_in
from harness.rendering import renderers
from harness.vulkan import Shown, VulkanCard, VulkanGuest
from harness.waiting import wait_for


def refused(action):
    """Does what may fail."""
    try:
        action()
    except GuestError:
        pass


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("vk")


@pytest.fixture(scope="module")
def card(place):
    made = VulkanCard(place, "--virgl")
    yield made
    made.process.kill()


@pytest.fixture(scope="module")
def guest(place, card):
    made = VulkanGuest(place, card)
    yield made
    made.machine.kill()


def test_guest_sees_the_hosts_vulkan_driver(guest):
    devices = guest.devices()
    assert len(devices) == 1 and devices[0].startswith("Virtio-GPU Venus (llvmpipe"), devices
    assert all(name.startswith("virgl") for name in renderers(guest.machine)), "OpenGL beside it"


def test_the_processes_that_read_its_commands_are_in_a_sandbox(card, guest):
    guest.start("held")
    assert card.contexts
    for pid in [card.server, *card.contexts]:
        assert is_shut_in(pid), pid
    guest.inside.kill("held")


def test_what_it_computes_fills_copies_and_clears_is_right(guest):
    print(f"microseconds of a round: {guest.work(3)}; of one with 16 MiB: {guest.work(1, 16)}")


def test_programs_run_beside_each_other_and_give_back_what_they_had(card, guest):
    guest.start("first")
    guest.start("second")
    guest.work(2)
    assert guest.inside.running == {"first", "second"}
    guest.inside.kill("first", "second")
    guest.work()
    wait_for(lambda: len(card.contexts) == 0, lambda: f"contexts that are left: {card.contexts}", 20)


def test_a_context_whose_process_dies_takes_no_other_along(card, guest):
    guest.start("victim")
    victim = card.contexts[-1]
    guest.start("other")
    os.kill(victim, 9)
    wait_for(lambda: not guest.is_working("victim"), lambda: guest.inside.logs(), 60)
    assert guest.is_working("other")
    guest.inside.kill("other")
    guest.work()
    card.process.expect_running()


def test_without_its_render_server_the_card_lives_and_refuses_vulkan(card, guest):
    guest.start("orphan")
    os.kill(card.server, 9)
    wait_for(lambda: "the render server has ended" in card.process.log, lambda: card.process.log[-2000:], 10)
    wait_for(lambda: not guest.is_working("orphan"), lambda: guest.inside.logs(), 60)
    with pytest.raises(AssertionError):
        guest.work()
    assert all(name.startswith("virgl") for name in renderers(guest.machine)), "OpenGL goes on"
    card.process.expect_running()


def test_memory_given_to_other_contexts_and_streams_of_nonsense_harm_nobody_else(place, machines):
    card = VulkanCard(place, "--virgl", name="attacked")
    dice = random.Random(1)
    machine = machines("attacker", generic_gpu(card.socket), version=11, initrd=initrd_with([build(place)], place)).boot()
    attacker = Card3D(machine.console)
    for round in range(30):
        attacker.ask("context 4")
        blob = attacker.blob(65536)
        assert attacker.is_filled(blob, 65536, round)
        again = int(attacker.ask(f"share {blob}"))
        assert attacker.is_filled(again, 65536, round + 1), "it is the same memory"
        for number, memory in [(7, 2), (1 << 63, 2), (0, 3), (7, 3), (7, 1)]:
            refused(lambda: attacker.is_filled(attacker.blob(65536, number, memory), 65536, 1))
        refused(lambda: attacker.submit([dice.getrandbits(32) for _ in range(dice.randrange(1, 400))]))
        refused(lambda: attacker.is_filled(attacker.blob(65536), 65536, 1))
        attacker.ask("context 2")
        attacker.create(64, 64)
    card.process.expect_running()
    card.process.kill()


def test_pictures_in_its_memory_are_shown_where_the_guest_says(place, machines):
    with Shown(place) as shown:
        machine = machines("painter", generic_gpu(shown.card.socket), version=11).boot()
        for seed, memory in enumerate(["vulkan", "vulkan 64 4096"], 1):
            painter = machine.painter(memory=memory)
            painter.fill(seed)
            wait_for(lambda: not difference(shown.look(), painted(Shown.SIZE, seed)), f"picture {seed}", 15)
            painter.flip(seed + 10, 3)
            wait_for(lambda: not difference(shown.look(), painted(Shown.SIZE, seed + 10)), f"picture {seed + 10}", 15)
            painter.quit()


def test_the_render_server_ends_with_its_card(place):
    other = VulkanCard(place, name="other")
    server = other.server
    other.process.kill()
    wait_for(lambda: not is_running(server), "the render server ends", 10)
