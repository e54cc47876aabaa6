"""`dli policy …` on revisions: what it prints, and how it ends."""

import json
from pathlib import Path

from events.attestation import PolicyAttestation
from policy_core.library import PACKAGED
from tests.workers.test_cli import dli

PACKAGED_FILE = PACKAGED / "L.2.03.402.yaml"


def test_diff_of_the_last_two_revisions_is_equivalent_and_exits_0() -> None:
    ran = dli("policy", "diff", "L.2.03.402", "2024-04-29", "2025-03-28")

    assert ran.code == 0
    sentence = "every one of the 46,656 complete cases, and every code and date, is decided alike"
    assert f"equivalent: {sentence}" in ran.out


def test_diff_of_2015_and_2016_gives_the_conditions_in_words_and_exits_3() -> None:
    ran = dli("policy", "diff", "L.2.03.402", "2015-09-18", "2016-03-08")
    out = " ".join(ran.out.split())

    assert ran.code == 3
    assert "different: of 46,656 complete cases 32,470 are decided otherwise" in out
    assert "when infusion leukocyte modification is genetic or other" in out
    assert "policy not on record → medically necessary" in out
    assert "purposes do not include prevent relapse or convert mixed chimerism" in out


def test_diff_as_json_is_the_attestation() -> None:
    ran = dli("policy", "diff", "L.2.03.402", "2015-09-18", "2016-03-08", "-o", "json")
    found = PolicyAttestation.model_validate_json(ran.out)

    assert (ran.code, found.equivalent, found.cases, found.cases_that_change) == (3, False, 46_656, 32_470)
    assert [one.cases for one in found.changes] == [432, 31_104, 864, 70]
    assert json.loads(ran.out) == json.loads(found.to_json())


def test_diff_takes_a_draft_from_a_file(tmp_path: Path) -> None:
    draft = tmp_path / "draft.yaml"
    text = PACKAGED_FILE.read_text("utf-8")
    both = "in: [nonmyeloablative, reduced_intensity]"
    assert both in text
    draft.write_text(text.replace(both, "is: nonmyeloablative"), "utf-8")

    ran = dli("policy", "diff", "L.2.03.402", "2025-03-28", str(draft))

    assert ran.code == 3
    assert "medically necessary → criteria not met (no covered indication)" in ran.out


def test_diff_says_which_revision_is_near_and_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    stranger = Path(__file__).parent.parent / "policy_core" / "policies" / "EV-12.yaml"

    near = dli("policy", "diff", "L.2.03.402", "2024-04-29", "2025-03-29")
    other = dli("policy", "diff", "L.2.03.402", "2024-04-29", str(stranger))
    absent = dli("policy", "diff", "L.2.03.402", "2024-04-29", str(tmp_path / "nothing.yaml"))

    assert (near.code, other.code, absent.code) == (1, 1, 1)
    assert "has no revision of 2025-03-29; the nearest is of 2025-03-28" in near.err
    assert "is policy EV-12, not L.2.03.402" in other.err
    assert "cannot be read" in absent.err
