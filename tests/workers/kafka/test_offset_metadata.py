"""What stands beside a committed offset is read as it was written."""

from hypothesis import given
from hypothesis import strategies as st

from workers.kafka import offset_metadata
from workers.kafka.offset_metadata import Mark, Note
from workers.kafka.records import Record

OFFSETS = st.integers(0, 2**63 - 1)
# What companions write; never anything of ours.
TEXTS = st.text(st.characters(exclude_characters=";"), max_size=200)
MARKS = st.builds(Mark, OFFSETS, st.integers(0, 2**64 - 1).map("{:016x}".format))


@given(st.builds(Note, TEXTS, st.none() | MARKS, st.none() | OFFSETS))
def test_a_note_is_read_as_it_was_written(note: Note) -> None:
    assert offset_metadata.read(str(note)) == note


@given(st.text(max_size=200))
def test_what_others_committed_is_text(committed: str) -> None:
    assert str(offset_metadata.read(committed)) == committed


def test_a_changed_byte_time_or_place_changes_a_records_mark() -> None:
    """A record with another byte, time or place has another mark."""
    one = Record("requests", 0, 7, 1_000, b"key", b"value")
    others = [
        one,
        one._replace(offset=8),
        one._replace(timestamp=1_001),
        one._replace(key=b"keyv", value=b"alue"),
        one._replace(key=None),
        one._replace(value=b"Value"),
        one._replace(value=None),
    ]
    assert len({offset_metadata.mark(other) for other in others}) == len(others)
    assert offset_metadata.mark(one) == offset_metadata.mark(one._replace(headers=(("a", b"b"),)))
