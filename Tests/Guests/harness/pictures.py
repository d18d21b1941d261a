"""Pictures: the one that the guest's `paint` draws, and comparisons that say where two differ."""

from PIL import Image, ImageChops


def painted(size, seed):
    """The picture of `paint fill SEED`: see Scripts/guest/paint.c."""
    width, height = size
    reds = bytes(x & 255 for x in range(width))
    picture = bytearray()
    for band in range(0, height, 256):
        blues = bytes((16 * (x // 256) + band // 256 + 37 * seed) & 255 for x in range(width))
        for y in range(band, min(band + 256, height)):
            row = bytearray(3 * width)
            row[0::3], row[1::3], row[2::3] = reds, bytes([y & 255]) * width, blues
            picture += row
    return Image.frombytes("RGB", (width, height), bytes(picture))


def with_rectangle(picture, x, y, width, height, colour):
    """A copy with one rectangle in one colour, as `paint rect` leaves it."""
    copy = picture.copy()
    copy.paste(colour, (x, y, x + width, y + height))
    return copy


def difference(actual, expected):
    """None when both are equal to the last bit; else a sentence about where they differ."""
    actual, expected = actual.convert("RGB"), expected.convert("RGB")
    if actual.size != expected.size:
        return f"size {actual.size}, expected {expected.size}"
    box = ImageChops.difference(actual, expected).getbbox()
    if box is None:
        return None
    for y in range(box[1], box[3]):
        for x in range(box[0], box[2]):
            pair = actual.getpixel((x, y)), expected.getpixel((x, y))
            if pair[0] != pair[1]:
                return f"differs within {box}, first at ({x}, {y}): {pair[0]}, expected {pair[1]}"
    raise AssertionError("unreachable")


def area(picture, x, y, width, height):
    return picture.convert("RGB").crop((x, y, x + width, y + height))


def colour_count(picture):
    """How many different colours a picture has."""
    return len(picture.convert("RGB").getcolors(maxcolors=1 << 24))


def shows_placeholder(picture):
    """Whether it is what a display shows in the place of a machine that is not there: a label, no picture."""
    return 2 <= colour_count(picture) <= 64


_TOP = [(192, 192, 192), (192, 192, 0), (0, 192, 192), (0, 192, 0), (192, 0, 192), (192, 0, 0), (0, 0, 192)]
_MIDDLE = [(0, 0, 192), (19, 19, 19), (192, 0, 192), (19, 19, 19), (0, 192, 192), (19, 19, 19), (192, 192, 192)]
_BOTTOM = [(0, 33, 76), (255, 255, 255), (50, 0, 106), (19, 19, 19), (9, 9, 9), (19, 19, 19), (29, 29, 29), (19, 19, 19)]


def smpte(size):
    """The bars that libdrm's modetest shows: seven above, seven in a band, eight of two widths below."""
    width, height = size

    def bottom(x):
        if x < width * 5 // 7:
            return _BOTTOM[x * 4 // (width * 5 // 7)]
        if x < width * 6 // 7:
            return _BOTTOM[(x - width * 5 // 7) * 3 // (width // 7) + 4]
        return _BOTTOM[7]

    picture = Image.new("RGB", size)
    for x in range(width):
        picture.paste(_TOP[x * 7 // width], (x, 0, x + 1, height * 6 // 9))
        picture.paste(_MIDDLE[x * 7 // width], (x, height * 6 // 9, x + 1, height * 7 // 9))
        picture.paste(bottom(x), (x, height * 7 // 9, x + 1, height))
    return picture
