"""Damage to the bytes of a file of any kind."""

from harming.running import Place


def spoilt(content: bytes, place: Place) -> tuple[bytes, str]:
    """A flipped bit, a cut, zeros, noise put in or in place of it, or a stretch twice."""
    data, how = (
        bytearray(content),
        place.rng.choice(("flip", "flips", "cut", "zeros", "noise", "insert", "twice", "head")),
    )
    at = place.rng.randrange(len(data))
    if how == "flip":
        data[at] ^= 1 << place.rng.randrange(8)
    elif how == "flips":
        for _ in range(max(2, len(data) // 200)):
            data[place.rng.randrange(len(data))] ^= 1 << place.rng.randrange(8)
    elif how == "cut":
        del data[at:]
    elif how == "zeros":
        data[at : at + 64] = bytes(len(data[at : at + 64]))
    elif how == "noise":
        data[at : at + 64] = place.rng.randbytes(len(data[at : at + 64]))
    elif how == "insert":
        data[at:at] = place.rng.randbytes(place.rng.choice((1, 50)))
    elif how == "twice":
        data[at:at] = data[at : at + 100]
    else:
        at = place.rng.randrange(min(64, len(data)))
        data[at] = place.rng.choice((0, 255, 127, 128, data[at] ^ 255))
    return bytes(data), f"{how} at {at} of {len(content)}"
