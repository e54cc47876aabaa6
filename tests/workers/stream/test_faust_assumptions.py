"""What the stream processor relies on in Faust and aiokafka is still there, and a start where it is not is refused."""

from collections.abc import Sequence

import faust
import pytest

from workers.stream.faust_assumptions import ASSUMPTIONS, VERSIONS, Assumption, AssumptionError, check_assumptions


def refusal(assumptions: Sequence[Assumption] = ASSUMPTIONS) -> str | None:
    try:
        check_assumptions(VERSIONS, assumptions)
    except AssumptionError as error:
        return str(error)
    return None


def test_assumptions_hold_for_the_versions_installed() -> None:
    assert refusal() is None


@pytest.mark.parametrize("assumption", ASSUMPTIONS, ids=lambda one: one.where.__qualname__)
def test_each_of_them_is_looked_at(assumption: Assumption) -> None:
    changed = assumption._replace(says=f"{assumption.says} and something else")

    assert assumption.reason in (refusal([*ASSUMPTIONS, changed]) or "")


def test_another_version_is_refused_with_a_sentence() -> None:
    with pytest.raises(
        AssumptionError, match=r"faust-streaming is 0\.15\.3, and the stream processor was written against 0\.16"
    ):
        check_assumptions(versions={"faust-streaming": "0.16"})


def test_a_changed_private_part_is_refused_with_the_reason() -> None:
    """A changed private part is refused with the reason why it matters."""
    changed = Assumption(faust.App.on_stop, "words that are not there", "the last batch would be cut off")
    with pytest.raises(AssumptionError, match=r"App.on_stop no longer says .* the last batch would be cut off"):
        check_assumptions(VERSIONS, [changed])
