"""Whatever a sender writes, it is read and answered: nothing raises, and no value of the message is repeated."""

import json
from random import Random
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from events.adapters.pas.adapter import PAS
from events.adapters.submission import Submission
from tests.support.pas_answers import first_answer, troubles
from tests.support.pas_bundles import PARTNER, RECEIVED, bundle, message
from tests.support.pas_damage import damaged, places

SEEDS = st.integers(0, 2**32)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=30,
)
LARGEST = 1_000_000


def _read(tree: Any) -> tuple[Submission, ...]:
    return PAS.read(json.dumps(tree).encode(), PARTNER, RECEIVED)


def assert_held(found: Submission) -> None:
    """What holds for every message."""
    assert Submission.model_validate_json(found.model_dump_json()) == found
    if found.refused is not None:
        assert all(error.path or found.refused.reason != "schema_violation" for error in found.refused.errors)
        assert found.refused.errors
    value = first_answer(found)
    if value is None:
        return
    assert value == first_answer(found)
    assert troubles(value) == []
    assert len(value) < LARGEST


@given(st.binary(max_size=400))
@example(b"")
@example(b"\xef\xbb\xbf{}")
@example(b'{"resourceType": "Bundle", "resourceType": "Bundle"}')
@example(b"[" * 10_000)
@example(b'{"resourceType": "Bundle", "timestamp": 1e999}')
def test_any_bytes_are_refused_and_answered(value: bytes) -> None:
    [found] = PAS.read(value, PARTNER, RECEIVED)
    assert found.refused is not None
    assert_held(found)


@given(JSON)
def test_any_json_is_refused_and_answered(tree: Any) -> None:
    for found in (*_read(tree), *_read({"resourceType": "Bundle", "entry": tree})):
        assert found.refused is not None
        assert_held(found)


@given(JSON, st.sampled_from(("Claim", "Bundle", "Parameters")))
def test_any_json_as_a_resource_is_refused_and_answered(tree: Any, kind: str) -> None:
    fields = tree if isinstance(tree, dict) else {"item": tree, "identifier": tree, "extension": tree}
    resource = {**fields, "resourceType": kind, "use": "preauthorization"}
    for found in _read({"resourceType": "Bundle", "entry": [{"resource": resource, "fullUrl": tree}]}):
        assert found.refused is not None
        assert_held(found)


@given(SEEDS)
def test_a_generated_message_is_a_request_and_answered(seed: int) -> None:
    [found] = PAS.read(message(seed), PARTNER, RECEIVED)
    assert found.refused is None
    assert_held(found)


@given(SEEDS)
def test_a_damaged_message_is_read_and_answered_cleanly(seed: int) -> None:
    for found in _read(damaged(bundle(seed), Random(seed))):
        assert_held(found)


@given(SEEDS)
def test_key_order_and_white_space_make_no_other_message(seed: int) -> None:
    tree, chance = bundle(seed), Random(seed)
    usual, styled = _read(tree), PAS.read(json.dumps(_shuffled(tree, chance), indent=3).encode(), PARTNER, RECEIVED)
    assert [(one.message, one.request, one.trace) for one in usual] == [
        (one.message, one.request, one.trace) for one in styled
    ]


def _shuffled(tree: Any, chance: Random) -> Any:
    if isinstance(tree, list):
        return [_shuffled(one, chance) for one in tree]
    if not isinstance(tree, dict):
        return tree
    names = list(tree)
    chance.shuffle(names)
    return {name: _shuffled(tree[name], chance) for name in names}


MARK = "MARKEDX7"


@given(SEEDS)
def test_no_value_of_a_message_is_in_what_is_said_of_it(seed: int) -> None:
    tree, chance = bundle(seed), Random(seed)
    for container, key in chance.choices(list(places(tree["entry"])), k=4):
        if key != "resourceType" and not isinstance(container.get(key) if isinstance(container, dict) else 0, dict):
            container[key] = MARK
    for found in _read(tree):
        said = [*found.notes, *(str(error) for error in (found.refused.errors if found.refused else ()))]
        assert not [text for text in said if MARK in text]
        assert MARK not in repr(found)
