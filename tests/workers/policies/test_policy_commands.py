"""`dli policy …` on revisions: what it prints, and how it ends."""

import json
from pathlib import Path

import pytest

from events.attestation import PolicyAttestation
from events.topics import POLICY_REVISIONS
from policy_core.document.models import PolicyDocument
from policy_core.history.library import PACKAGED
from tests.support.cases import packaged
from tests.support.commands import Ran, dli
from tests.support.naive import REVISIONS
from tests.support.places import POLICIES
from tests.support.policy_files import written
from tests.support.publishing import revised
from tests.support.running import everything_on, settings_for
from workers.configuration.settings import Settings
from workers.topics import apply_topics

HOLDS = "When a decision is due, and how long an approval holds"
REVIEW = "Who may refuse care, and what is announced"
PACKAGED_FILE = PACKAGED / "L.2.03.402.yaml"


def test_diff_of_the_last_two_revisions_is_empty_and_exits_0() -> None:
    """The diff of the last two revisions says that they are equivalent and exits with 0."""
    ran = dli("policy", "diff", "L.2.03.402", "2024-04-29", "2025-03-28")

    assert ran.code == 0
    sentence = "every one of the 46,656 complete cases, and every code and date, is decided alike"
    assert f"equivalent: {sentence}" in ran.out


def test_diff_of_2015_and_2016_shows_conditions_and_exits_3() -> None:
    """The diff of 2015 and 2016 gives the conditions in words and exits with 3."""
    ran = dli("policy", "diff", "L.2.03.402", "2015-09-18", "2016-03-08")
    out = " ".join(ran.out.split())

    assert ran.code == 3
    assert "different: of 46,656 complete cases 32,400 are decided otherwise" in out
    assert "when infusion leukocyte modification is genetic or other" in out
    assert "policy not on record → investigational" in out
    assert "when malignancy is nonhematologic; transplant type is allogeneic" in out


def test_diff_as_json_is_the_attestation() -> None:
    ran = dli("policy", "diff", "L.2.03.402", "2015-09-18", "2016-03-08", "-o", "json")
    found = PolicyAttestation.model_validate_json(ran.out)

    assert (ran.code, found.equivalent, found.cases, found.cases_that_change) == (3, False, 46_656, 32_400)
    assert [one.cases for one in found.changes] == [432, 31_104, 864]
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


@pytest.mark.parametrize(
    ("before", "after", "title", "row"),
    [
        ("    months: 6\n", "    months: 9\n", HOLDS, "commercial approvals hold 6 months → 9 months"),
        (
            "clock: ms-prior-authorization-reform-act}",
            "clock: ms-prior-authorization-reform-act, appeals: cms-0057-f}",
            HOLDS,
            "commercial is due on appeal new: 7 days, 72 hours when expedited, from submission (clock cms-0057-f)",
        ),
        (
            "license_state: MS",
            "license_state: AL",
            REVIEW,
            "adverse review for commercial needs a physician licensed in MS → AL",
        ),
        (
            "expedited: {hours: 48}\n    due_soon: {standard: {hours: 24}, expedited: {hours: 8}}",
            "expedited: {hours: 48}\n    due_soon: {standard: {hours: 12}, expedited: {hours: 8}}",
            REVIEW,
            "reform-act is announced 24 hours before, 8 hours when expedited → 12 hours before, 8 hours when expedited",
        ),
        (
            "time_zone: America/Chicago",
            "time_zone: America/Denver",
            REVIEW,
            "document counts years in America/Chicago → America/Denver",
        ),
        (
            "rule: 19 Miss. Code R. 3-19.16",
            "rule: 19 Miss. Code R. 3-19.17",
            "Wording",
            "validity for commercial follows 19 Miss. Code R. 3-19.16 → 19 Miss. Code R. 3-19.17",
        ),
        (
            "says: Care is refused only after",
            "says: Care is refused no sooner than after",
            "Wording",
            "adverse review for commercial says Care is refused only after a physician",
        ),
    ],
)
def test_diff_shows_what_follows_a_decision(tmp_path: Path, before: str, after: str, title: str, row: str) -> None:
    """The diff shows changes of validity, clocks of appeals, adverse review, announcements and the time zone."""
    draft, text = tmp_path / "draft.yaml", PACKAGED_FILE.read_text("utf-8")
    assert before in text
    draft.write_text(text.replace(before, after), "utf-8")

    ran = dli("policy", "diff", "L.2.03.402", "2025-03-28", str(draft))

    out = " ".join(ran.out.split())
    assert ran.code == (3 if title == HOLDS else 0)
    assert title in out
    assert row in out


def test_diff_names_the_nearest_revision_and_a_files_fault(tmp_path: Path) -> None:
    """The diff says which revision is nearest and what is wrong with a file."""
    stranger = POLICIES / "EV-12.yaml"

    near = dli("policy", "diff", "L.2.03.402", "2024-04-29", "2025-03-29")
    other = dli("policy", "diff", "L.2.03.402", "2024-04-29", str(stranger))
    absent = dli("policy", "diff", "L.2.03.402", "2024-04-29", str(tmp_path / "nothing.yaml"))

    assert (near.code, other.code, absent.code) == (1, 1, 1)
    assert "has no revision of 2025-03-29; the nearest is of 2025-03-28" in near.err
    assert "is policy EV-12, not L.2.03.402" in other.err
    assert "cannot be read" in absent.err


# --- another insurer's folder ----------------------------------------------------------------------


ELSEWHERE = ("--policies", str(POLICIES))


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (("history", "EV-12"), 0, "EV-12: 4 revisions"),
        (("show", "EV-12", "--on", "2023-05-01"), 0, "revision 2023-04-01: Type 2 and training added."),
        (("diff", "EV-12", "2020-07-01", "2023-04-01"), 3, "criteria not met (no training)"),
        (("list",), 0, "Continuous glucose monitors"),
        (("history", "L.2.03.402"), 1, "no policy L.2.03.402 in the folders of documents; there is EV-12"),
    ],
    ids=["history", "show", "diff", "list", "packaged"],
)
def test_a_folder_without_the_packaged_policy_is_examined(command: tuple[str, ...], code: int, says: str) -> None:
    """Nothing is decided, so the default policy need not be there."""
    ran = dli("policy", *command, *ELSEWHERE)

    assert (ran.code, says in " ".join((ran.out + ran.err).split())) == (code, True)


def test_check_warns_of_what_a_document_lacks_and_passes_it() -> None:
    """A warning has its line and goes where errors go; what is printed for programs has none."""
    ran = dli("policy", "check", str(Path(ELSEWHERE[1]) / "EV-12.yaml"))

    told = " ".join(ran.err.split())
    assert ran.code == 0
    assert "EV-12.yaml:166: guidance.0: `own-code` cites no sentence of the published text" in told
    assert ran.err.count("warning: ") == 4
    assert "warning" not in ran.out


# --- history and show ----------------------------------------------------------------------------------------------


def test_history_shows_nineteen_revisions_and_what_is_missing() -> None:
    """The history shows nineteen revisions and says what is not on record."""
    ran = dli("policy", "history", "L.2.03.402")

    assert ran.code == 0
    assert "L.2.03.402: 19 revisions" in ran.out
    assert "Before 2011-08-11 no statement text is on record" in ran.out
    assert "32,400 of 46,656 cases are decided otherwise" in " ".join(ran.out.replace("│", " ").split())
    assert ran.out.count("Reviewed without change.") == 4


def test_history_as_json_has_digests_and_changes() -> None:
    """The history as JSON has each revision with its digests and with what it changed."""
    ran = dli("policy", "history", "L.2.03.402", "-o", "json")
    rows = json.loads(ran.out)["revisions"]

    assert [one["revision"] for one in rows] == [day.isoformat() for day in REVISIONS]
    assert [one.get("predecessor") for one in rows] == [None, *(one["digest"] for one in rows[:-1])]
    assert [one["statements_on_record"] for one in rows] == [False] * 6 + [True] * 13
    assert "changes" not in rows[0]
    different = [one["revision"] for one in rows[1:] if not one["changes"]["equivalent"]]
    assert different == ["2011-08-11", "2015-08-25", "2016-03-08", "2019-09-30", "2024-04-29"]
    assert all("decisions" not in one for one in rows)


def test_show_is_the_policy_of_a_day_as_it_was_known() -> None:
    ran = dli("policy", "show", "L.2.03.402", "--on", "2016-03-07", "--as-known-at", "2025-01-01")
    out = " ".join(ran.out.split())

    assert ran.code == 0
    assert "revision 2015-09-18: Reviewed with the statements unchanged" in out
    assert "known through 2024-04-29" in out
    assert "S1-refractory" in out
    assert "S4" not in out


def test_show_as_json_keeps_the_two_times_apart() -> None:
    shown = [
        json.loads(dli("policy", "show", "L.2.03.402", "--on", on, "--as-known-at", known, "-o", "json").out)
        for on, known in (("2016-06-01", "2016-01-01"), ("2016-06-01", "2025-01-01"), ("2010-01-01", "2025-04-01"))
    ]

    assert [one["in_force"]["revision"] for one in shown] == ["2015-09-18", "2016-03-08", "2005-01-10"]
    assert [len(one["statements"]) for one in shown] == [1, 4, 0]
    assert len({one["known_through"] for one in shown}) == 3
    assert shown[1]["in_force"]["digest"] != shown[1]["known_through"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--on", "yesterday"], "yesterday is no day; write it as YYYY-MM-DD"),
        (["--on", "2016-03-07", "--as-known-at", "then"], "then is neither a day nor an instant"),
        (["--on", "2016-03-07", "--as-known-at", "1998-07-31"], "nothing of L.2.03.402 was known at 1998-07-31"),
    ],
)
def test_show_says_what_is_wrong_with_a_time(options: list[str], sentence: str) -> None:
    ran = dli("policy", "show", "L.2.03.402", *options)

    assert ran.code == 1
    assert sentence in ran.err


def test_a_day_before_the_first_revision_has_none_in_force() -> None:
    ran = dli("policy", "show", "L.2.03.402", "--on", "1998-07-31")

    assert ran.code == 0
    assert "none was in force" in ran.out


# --- publish -------------------------------------------------------------------------------------------------------


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.declare(made)
    return made


@pytest.mark.kafka
def test_publish_checks_and_sends_only_when_told_to(found: Settings, tmp_path: Path) -> None:
    def run(file: str, *options: str) -> Ran:
        brokers = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
        return dli("policy", "publish", file, "--author", "Medical policy office", *brokers, *options)

    packaged_file, revised_file = str(PACKAGED_FILE), written(tmp_path, revised(packaged().document))
    whole = run(packaged_file, "--execute")
    again = run(packaged_file)
    checked = run(revised_file)
    before = len(everything_on(found, POLICY_REVISIONS))
    executed = run(revised_file, "--execute")
    repeated = run(revised_file, "--execute")
    other = revised(packaged().document)
    forked = other.model_copy(update={"title": "Another title"})
    refused = run(written(tmp_path, forked), "--execute")
    records = everything_on(found, POLICY_REVISIONS)
    brokers = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
    history = dli("policy", "history", "L.2.03.402", "-o", "json", *brokers)
    then = dli("policy", "show", "L.2.03.402", "--on", "2026-02-01", "--as-known-at", "2025-04-01", *brokers)
    now = dli("policy", "show", "L.2.03.402", "--on", "2026-02-01", *brokers)

    assert (whole.code, again.code, checked.code, executed.code) == (0, 0, 0, 0)
    assert "is published already, as the revision of 2025-03-28" in again.err
    assert "nothing was sent; --execute publishes it" in checked.err
    assert "of 46,656 complete cases 144 are decided otherwise" in checked.out
    assert before == 19
    assert "published; L.2.03.402 is known through" in executed.err
    assert "is published already, as the revision of 2026-01-05" in repeated.err
    assert refused.code == 1
    assert "revision: the revision of 2026-01-05 is known already, with other content" in refused.err
    assert len(records) == 20
    rows = json.loads(history.out)["revisions"]
    assert [one["decisions"] for one in rows] == [0] * 20
    assert rows[-1]["author"] == "Medical policy office"
    assert "revision 2025-03-28:" in " ".join(then.out.split())
    assert "revision 2026-01-05:" in " ".join(now.out.split())


@pytest.mark.kafka
def test_publish_says_in_a_sentence_what_reaches_into_the_past(found: Settings, tmp_path: Path) -> None:
    brokers = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
    options = ("--author", "Somebody", "--execute", *brokers)
    dli("policy", "publish", str(PACKAGED_FILE), *options)
    tree = packaged().document.model_dump(mode="json", by_alias=True)
    tree["revisions"].append({"date": "2026-01-05", "kinds": ["statement"], "says": "Revised.", "cites": []})
    tree["indications"][0]["when"] = {"fact": "clinical.disease_status", "is": "remission"}
    past = PolicyDocument.model_validate(tree, strict=False)

    late = dli("policy", "publish", written(tmp_path, past), *options)
    early = dli(
        "policy", "publish", written(tmp_path, revised(packaged().document)), "--effective", "2025-01-01", *options
    )

    assert (late.code, early.code) == (1, 1)
    assert "document: reaches into the past: cpt 38242 on 20" in late.err
    assert "effective: 2025-01-01 reaches into the past: the newest revision is effective from 2025-03-28" in early.err
    assert len(everything_on(found, POLICY_REVISIONS)) == 19
