"""Damages interchanges: bytes that are changed, lost, put in or doubled."""

from random import Random


def damaged(value: bytes, chance: Random) -> bytes:
    """An interchange with one to eleven faults."""
    changed = bytearray(value)
    for _ in range(chance.randrange(1, 12)):
        at = chance.randrange(len(changed))
        kind = chance.randrange(4)
        if kind == 0:
            changed[at] = chance.randrange(256)
        elif kind == 1:
            del changed[at : at + chance.randrange(1, 40)]
        elif kind == 2:
            changed[at:at] = bytes(chance.choices(b"*:^~A9 \n\xff\x00\x1e", k=chance.randrange(1, 6)))
        else:
            other = chance.randrange(len(changed))
            changed[at:at] = changed[other : other + chance.randrange(60)]
        changed = changed or bytearray(b"ISA")
    return bytes(changed)
