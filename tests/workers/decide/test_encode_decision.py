"""The decision's bytes are the contract's, whatever pieces they are put together from."""

from collections.abc import Iterator

from events.decision import Decision, content_id
from events.decode import decode
from events.request_parts import parts_of
from tests.support import generator
from tests.support.packaged import packaged_library
from workers.decide.handler import Decider
from workers.decide.outcome import Decided


def decided(decider: Decider, seed: int, count: int) -> Iterator[Decided]:
    for one in generator.requests(seed, count):
        yield decider.decide(parts_of(decode(generator.encode(one), bare_allowed=True).request))


def test_a_written_decision_reads_back_and_rewrites_identically() -> None:
    """What is written reads back as a decision and is written again as the same bytes."""
    decider = Decider(packaged_library())

    for one in decided(decider, 31, 3_000):
        decision = Decision.model_validate_json(one.encoded.data)
        assert decision.to_json() == one.encoded.data
        assert content_id(decision.content()) == decision.decision_id == one.encoded.decision_id


def test_what_is_remembered_changes_no_byte() -> None:
    used = Decider(packaged_library())
    for _ in decided(used, 32, 2_000):
        pass

    again = [one.encoded for one in decided(used, 33, 300)]
    fresh = [one.encoded for one in decided(Decider(packaged_library()), 33, 300)]

    assert again == fresh


def test_text_of_every_kind_is_written_as_json_writes_it() -> None:
    decider = Decider(packaged_library())
    for name in ('quote"backslash\\', "naïve Δ 漢", "\U0001f9ec", "\u2028\u2029", "</script>", "\xa0"):
        request = generator.request(34, 1) | {"request_id": name, "supersedes": f"{name} 2"}
        received = decode(generator.encode(request), bare_allowed=True)

        data = decider.decide(parts_of(received.request)).encoded.data

        assert Decision.model_validate_json(data).to_json() == data
