"""Pictures between a guest with Linux 6.1 and one with 6.12."""

import pytest

from harness.pictures import difference, painted
from harness.sharing import muntin_guest, number_of, sharing
from harness.waiting import wait_for

SIZE = 320, 200


@pytest.fixture(scope="module")
def started(built):
    with sharing(muntin_guest(), names=("a", "b"), older=("a",)) as guests:
        yield guests


@pytest.mark.parametrize(("owner", "reader"), ["ab", "ba"])
@pytest.mark.parametrize("access", ["read", "read-write"])
def test_old_and_new_kernels_show_each_other_what_they_draw(guests, owner, reader, access):
    assert [guests[name].vm.shell("uname -r").split(".")[:2] for name in "ab"] == [["6", "1"], ["6", "12"]]
    export = "muntin-guest export clock --size 320x200 --pattern --rate 5 --writable"
    guests[owner].start("clock", export, "^exported")
    guests.up.ask("grant", f"vm:{owner}", f"vm:{reader}", "--name", "clock", "--access", access)
    guests[reader].start("show", f"muntin-guest show clock --kms --access {access}")
    frames = set()

    def move():
        picture = guests.up.look(reader)
        if difference(picture, painted(SIZE, number_of(picture))) is None:
            frames.add(number_of(picture))
        return len(frames) >= 3

    wait_for(move, lambda: f"frames {frames}:\n{guests[reader].logs()}", 30)
