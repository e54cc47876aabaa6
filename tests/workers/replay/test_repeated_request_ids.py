"""The keys that occur more than once in a partition are found, and no others."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.event_logs import MemorySource
from workers.kafka.records import Record
from workers.replay import repeated_request_ids
from workers.replay.repeated_request_ids import repeated

KEYS = st.lists(st.none() | st.binary(max_size=2), max_size=80)


@pytest.mark.parametrize("together", [1, 7, 1 << 16])
@given(keys=KEYS)
@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
def test_only_keys_that_come_again_are_found(keys: Sequence[bytes | None], together: int) -> None:
    """However many are distributed at a time; a record without a key repeats none."""
    source = MemorySource({("t.things", 0): [Record("t.things", 0, at, 1, key, b"") for at, key in enumerate(keys)]})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(repeated_request_ids, "TOGETHER", together)
        found = repeated(source, "t.things", 0)

    assert found == {hash(key) for key, count in Counter(keys).items() if key is not None and count > 1}
