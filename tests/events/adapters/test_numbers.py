"""Numbers that both formats derive."""

from hypothesis import given
from hypothesis import strategies as st

from events.adapters.numbers import OURS, control_number, request_id

DIGESTS = st.binary(min_size=16, max_size=16).map(bytes.hex)


@given(DIGESTS)
def test_a_control_number_has_the_form_by_which_ours_are_known(decision_id: str) -> None:
    assert OURS.fullmatch(control_number(decision_id))


@given(DIGESTS, DIGESTS)
def test_decisions_have_different_control_numbers(one: str, other: str) -> None:
    assert (control_number(one) == control_number(other)) == (int(one, 16) >> 78 == int(other, 16) >> 78)


def test_a_trace_unfit_for_a_request_id_is_replaced() -> None:
    message = "0123456789abcdef" * 4
    assert request_id("9640001112:TR-1", message) == "9640001112:TR-1~0123456789ab"
    assert request_id("a" * 243, message) == "a" * 243 + "~0123456789ab"
    for strange in ("a" * 244, "a\nb", "", "\u202eabc"):
        assert len(request_id(strange, message)) == 24 + 13
