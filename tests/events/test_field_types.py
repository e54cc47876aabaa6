"""The wire's scalars: exact about what they accept, and the same when they are written and read again."""

import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from events.field_types import (
    LAST_YEAR,
    Day,
    Instant,
    NationalProviderIdentifier,
    RequestId,
    Sha256,
    instant_of,
    is_instant,
    whole_second,
    written_instant,
)
from tests.support import generator

BIDIRECTIONAL = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
DAYS: TypeAdapter[date] = TypeAdapter(Day)
INSTANTS: TypeAdapter[datetime] = TypeAdapter(Instant)
NPIS: TypeAdapter[str] = TypeAdapter(NationalProviderIdentifier)
REQUEST_IDS: TypeAdapter[str] = TypeAdapter(RequestId)
DIGESTS: TypeAdapter[str] = TypeAdapter(Sha256)

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=200)


def refused(adapter: TypeAdapter[Any], value: object) -> bool:
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError:
        return True
    return False


def written(adapter: TypeAdapter[Any], value: object) -> str:
    """The text in JSON."""
    text = adapter.dump_json(adapter.validate_python(value, strict=True)).decode()
    return text.removeprefix('"').removesuffix('"')


# --- National Provider Identifiers ---------------------------------------------------------------------


def test_an_npi_has_one_check_digit() -> None:
    # 123456789 and its check digit 3 are the worked example of the identifier's specification.
    accepted = [digit for digit in "0123456789" if not refused(NPIS, f"123456789{digit}")]
    assert accepted == ["3"]


def test_generated_npis_are_accepted() -> None:
    assert [number for number in map(generator.npi, range(300)) if refused(NPIS, number)] == []


def test_every_single_wrong_digit_is_noticed() -> None:
    right = "1234567893"
    wrong = {f"{right[:place]}{digit}{right[place + 1 :]}" for place in range(10) for digit in "0123456789"} - {right}
    assert len(wrong) == 90
    assert [number for number in wrong if not refused(NPIS, number)] == []


@pytest.mark.parametrize(
    "value",
    [
        "",
        "123456789",
        "12345678930",
        " 1234567893",
        "1234567893\n",
        "12345-67893",
        "١٢٣٤٥٦٧٨٩٣",
        1234567893,
        None,
    ],
)
def test_what_is_not_ten_digits_is_no_npi(value: object) -> None:
    assert refused(NPIS, value)


# --- Instants ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "as_written"),
    [
        ("2025-06-02T09:30:00-05:00", "2025-06-02T09:30:00-05:00"),
        ("2025-06-02T09:30:00Z", "2025-06-02T09:30:00Z"),
        ("2025-06-02t09:30:00z", "2025-06-02T09:30:00Z"),
        ("2025-06-02T09:30:00+00:00", "2025-06-02T09:30:00Z"),
        ("2025-06-02T09:30:00-00:00", "2025-06-02T09:30:00Z"),
        ("2025-06-02T09:30:00+05:30", "2025-06-02T09:30:00+05:30"),
        ("2025-06-02T00:00:00+14:00", "2025-06-02T00:00:00+14:00"),
        ("2025-06-02T23:59:59-12:00", "2025-06-02T23:59:59-12:00"),
        ("2025-06-02T09:30:00+23:59", "2025-06-02T09:30:00+23:59"),
        ("2025-06-02T09:30:00.5Z", "2025-06-02T09:30:00.500000Z"),
        ("2025-06-02T09:30:00.000001Z", "2025-06-02T09:30:00.000001Z"),
        ("2025-06-02T09:30:00.000Z", "2025-06-02T09:30:00Z"),
        ("2024-02-29T09:30:00Z", "2024-02-29T09:30:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9900-12-31T23:59:59Z", "9900-12-31T23:59:59Z"),
    ],
)
def test_an_instant_is_read_and_written_with_its_own_offset(text: str, as_written: str) -> None:
    assert written(INSTANTS, text) == as_written
    assert written(INSTANTS, as_written) == as_written


def test_digits_beyond_a_microsecond_are_cut_off_and_not_rounded() -> None:
    assert written(INSTANTS, "2025-06-02T09:30:00.123456999Z") == "2025-06-02T09:30:00.123456Z"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("2025-06-02T09:30:00", id="no offset"),
        pytest.param("2025-06-02", id="no time"),
        pytest.param("2025-06-02T09:30Z", id="no seconds"),
        pytest.param("2025-06-02 09:30:00Z", id="a space for the T"),
        pytest.param("2025-06-02T24:00:00Z", id="24:00"),
        pytest.param("2025-06-02T09:60:00Z", id="minute 60"),
        pytest.param("2016-12-31T23:59:60Z", id="a leap second that there was"),
        pytest.param("2025-02-29T09:30:00Z", id="a day that does not exist"),
        pytest.param("2025-06-02T09:30:00+24:00", id="an offset of a day"),
        pytest.param("2025-06-02T09:30:00+05:60", id="an offset's minute 60"),
        pytest.param("2025-06-02T09:30:00-0500", id="an offset without colon"),
        pytest.param("2025-06-02T09:30:00-05", id="an offset without minutes"),
        pytest.param("2025-06-02T09:30:00.Z", id="a point and no fraction"),
        pytest.param("2025-06-02T09:30:00,5Z", id="a comma"),
        pytest.param("2025-06-02T09:30:00.1234567890Z", id="a fraction of ten digits"),
        pytest.param("2025-W23-1T09:30:00Z", id="a day by its week"),
        pytest.param("0000-01-01T00:00:00Z", id="year 0"),
        pytest.param("9901-01-01T00:00:00Z", id="the year after the last"),
        pytest.param("12025-06-02T09:30:00Z", id="a year of five digits"),
        pytest.param("٢٠٢٥-06-02T09:30:00Z", id="digits of another script"),
        pytest.param("2025-06-02T09:30:00Z\n", id="a line break at the end"),
        pytest.param("", id="nothing"),
        pytest.param(1748874600, id="seconds since the epoch"),
        pytest.param(datetime(2025, 6, 2, 9, 30), id="no offset, as an object"),  # noqa: DTZ001 (on purpose)
        pytest.param(None, id="null"),
    ],
)
def test_what_names_no_instant_is_refused(value: object) -> None:
    assert refused(INSTANTS, value)


@repeatable
@given(
    st.datetimes(max_value=datetime(LAST_YEAR, 12, 31, 23, 59, 59)),  # noqa: DTZ001 (the offset comes beside it)
    st.integers(min_value=-1439, max_value=1439),
)
def test_every_instant_survives_being_written(clock: datetime, minutes: int) -> None:
    instant = clock.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    again = INSTANTS.validate_json(INSTANTS.dump_json(instant))
    assert (again.replace(tzinfo=None), again.utcoffset()) == (clock, timedelta(minutes=minutes))
    assert INSTANTS.dump_json(again) == INSTANTS.dump_json(instant)


@given(
    st.datetimes(max_value=datetime(LAST_YEAR, 12, 31)),  # noqa: DTZ001 (the offset comes beside it)
    st.integers(min_value=-1439, max_value=1439),
)
def test_an_instant_of_whole_seconds_is_known_by_its_own_text(clock: datetime, minutes: int) -> None:
    instant = clock.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    assert whole_second(written_instant(instant)) == instant


@pytest.mark.parametrize(
    "text",
    [
        "2025-06-02T09:30:00+00:00",
        "2025-06-02T09:30:00-00:00",
        "2025-06-02t09:30:00Z",
        "2025-06-02T09:30:00z",
        "2025-06-02T09:30:00.5Z",
        "2025-06-02T09:30Z",
        "2025-06-02T09:30:00",
        "2025-02-30T09:30:00Z",
        "9901-01-01T00:00:00Z",
        "2025-06-02T24:00:00Z",
    ],
)
def test_another_text_is_no_instant_s_own(text: str) -> None:
    assert whole_second(text) is None


def test_an_instant_object_is_taken_as_it_is() -> None:
    instant = datetime(2025, 6, 2, 9, 30, tzinfo=UTC)
    assert INSTANTS.validate_python(instant, strict=True) is instant


# --- Days ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["2025-06-02", "2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"])
def test_a_day_is_read_and_written_alike(text: str) -> None:
    assert written(DAYS, text) == text


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("2025-02-29", id="no leap year"),
        pytest.param("1900-02-29", id="no leap year, though divisible by four"),
        pytest.param("2025-02-30", id="February 30"),
        pytest.param("2025-13-01", id="month 13"),
        pytest.param("2025-00-10", id="month 0"),
        pytest.param("0000-01-01", id="year 0"),
        pytest.param("20250602", id="no hyphens"),
        pytest.param("2025-6-2", id="single digits"),
        pytest.param("06/02/2025", id="as written in the United States"),
        pytest.param("2025-W23-1", id="by its week"),
        pytest.param("2025-06-02T00:00:00", id="with a time"),
        pytest.param("2025-06-02Z", id="with an offset"),
        pytest.param("2025-06-02\n", id="a line break at the end"),
        pytest.param("٢٠٢٥-٠٦-٠٢", id="digits of another script"),
        pytest.param("", id="nothing"),
        pytest.param(20250602, id="a number"),
        pytest.param(datetime(2025, 6, 2, tzinfo=UTC), id="an instant"),
        pytest.param(None, id="null"),
    ],
)
def test_what_names_no_day_is_refused(value: object) -> None:
    assert refused(DAYS, value)


@repeatable
@given(st.dates())
def test_every_day_survives_being_written(day: date) -> None:
    assert DAYS.validate_json(DAYS.dump_json(day)) == day


# --- Ids and digests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["1", "PA-2025-00201", "Ä 1 / 雪", "x" * 256])
def test_a_request_id_is_any_text_of_one_line(value: str) -> None:
    assert written(REQUEST_IDS, value) == value


@pytest.mark.parametrize("value", ["", "x" * 257, "a\nb", "a\x00", "a\x7f", "a\n", 12345, None])
def test_what_is_no_request_id_is_refused(value: object) -> None:
    assert refused(REQUEST_IDS, value)


def test_a_digest_is_sixty_four_lower_case_hexadecimal_digits() -> None:
    assert not refused(DIGESTS, "0123456789abcdef" * 4)
    for value in ("0123456789ABCDEF" * 4, "0" * 63, "0" * 65, "g" * 64, "0" * 64 + "\n"):
        assert refused(DIGESTS, value)


def test_no_id_contains_a_control_or_bidirectional_character() -> None:
    """Every character there is: controls (Unicode's Cc) and bidirectional controls are refused, all others taken."""
    every = [chr(number) for number in range(0x110000) if not 0xD800 <= number <= 0xDFFF]
    acting = {one for one in every if unicodedata.category(one) == "Cc"} | {
        one for one in every if unicodedata.bidirectional(one) in BIDIRECTIONAL
    }
    acting |= {"\u061c", "\u200e", "\u200f"}  # marks: of their class are letters too

    assert {one for one in every if refused(REQUEST_IDS, f"PA-{one}-1")} == acting


# --- a record's time -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        (1_750_000_000_000, "2025-06-15T15:06:40.000Z"),
        (1_750_000_000_007, "2025-06-15T15:06:40.007Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1970-01-01T00:00:00.000Z"),
        (-(2**63), "1970-01-01T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "9999-12-31T23:59:59.999Z"),
        (2**63 - 1, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_records_time_is_an_instant_whatever_it_is(milliseconds: int, expected: str) -> None:
    assert instant_of(milliseconds) == expected


@given(st.integers(0, 250_265_807_999_999))
def test_a_records_time_keeps_its_milliseconds(milliseconds: int) -> None:
    text = instant_of(milliseconds)

    assert is_instant(text)
    elapsed = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    assert elapsed == timedelta(milliseconds=milliseconds)


@given(st.integers())
def test_every_number_of_milliseconds_has_an_instant(milliseconds: int) -> None:
    assert datetime.fromisoformat(instant_of(milliseconds)).tzinfo == UTC


@pytest.mark.parametrize("text", ["", "yesterday", "2025-06-15", "2025-06-15T15:06:40", "9901-01-01T00:00:00Z"])
def test_what_is_no_instant_is_told_apart(text: str) -> None:
    assert not is_instant(text)
    assert is_instant("2025-06-15T15:06:40-05:00")
