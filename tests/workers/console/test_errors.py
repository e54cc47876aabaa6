"""Our errors are one family, and its picture is as it is."""

import importlib
import pkgutil
import re

import workers
from workers.console import errors
from workers.console.errors import DliError

LINE = re.compile(r"^    (?P<stem>[│├└─ ]*)(?P<name>[A-Z]\w+Error)\b", re.MULTILINE)


def family() -> dict[str, str]:
    """Every error of ours, by name, with the name of what it is a kind of first of all."""
    for found in pkgutil.walk_packages(workers.__path__, "workers."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    kinds, found_kinds = [DliError], dict[str, str]()
    while kinds:
        kind = kinds.pop()
        for one in kind.__subclasses__():
            found_kinds[one.__name__] = next(base.__name__ for base in one.__bases__ if issubclass(base, DliError))
            kinds.append(one)
    return found_kinds


def drawn(picture: str) -> dict[str, str]:
    """The same, as a picture has it."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in LINE.finditer(picture):
        depth = len(line["stem"]) // 4
        above[depth:] = [line["name"]]
        if depth:
            found[line["name"]] = above[depth - 1]
    return found


def test_the_picture_has_every_error_below_its_own() -> None:
    assert drawn(errors.__doc__ or "") == family()


def test_a_picture_that_lacks_one_is_noticed() -> None:
    picture = "    DliError\n    ├── ReadingError   brokers\n    │   └── UnrecordedError   an act\n"

    assert drawn(picture) == {"ReadingError": "DliError", "UnrecordedError": "ReadingError"}
    assert drawn(picture) != family()
