"""Damages PAS messages: values of other types, gaps, parts in wrong places, references to elsewhere."""

import json
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

from tests.support.pas_bundles import Json


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a tree with each of its keys or indices."""
    if isinstance(tree, dict | list):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from places(tree[key])


_OTHERS: tuple[Any, ...] = (
    *("x", "", 0, -1, 1e300, 2**70, True, None, [], {}, [[]], [{}], ["x"], "2025-02-30", "Claim/c"),
    *({"reference": "Claim/c"}, {"reference": "#c"}, {"coding": [{"code": "x"}]}),
)


def damaged(tree: Json, chance: Random) -> Json:
    """A message with one to seven faults, which may be the tree that was given."""
    for _ in range(chance.randrange(1, 8)):
        found = list(places(tree["entry"]))
        if not found:
            return tree
        container, key = chance.choice(found)
        kind = chance.randrange(4)
        if kind == 0:
            container[key] = deepcopy(chance.choice(_OTHERS))
        elif kind == 1:
            del container[key]
        elif kind == 2:
            container[key] = deepcopy(chance.choice(found)[0])
        else:
            pointing = [(one, key) for one, key in found if key == "reference"]
            if pointing:
                one, _ = chance.choice(pointing)
                one["reference"] = deepcopy(chance.choice(pointing)[0]["reference"])
        tree = json.loads(json.dumps(tree))
    return tree
