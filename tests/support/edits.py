"""Changes to the packaged policy, each with what it does."""

from pathlib import Path

from policy_core.history.library import PACKAGED

DOCUMENT = PACKAGED / "L.2.03.402.yaml"


def edited(folder: Path, *changes: tuple[str, str]) -> Path:
    """The packaged document with some of its text replaced."""
    text = DOCUMENT.read_text("utf-8")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    file = folder / "draft.yaml"
    file.write_text(text, "utf-8")
    return file


EDITS = {
    "nothing": (("# ", "#  "),),
    "a word": (("The donor leukocytes are modified,", "The leukocytes of the donor are modified,"),),
    "a code delisted": (('code: "86950"', 'code: "86951"'), ("cpt 86950]", "cpt 86951]")),
    "another reason": (("reason: no_covered_indication", "reason: no_indication_at_all"),),
    "another determination": (
        ("determination: criteria_not_met, reason: no_covered_indication", "determination: investigational"),
    ),
    "a presumption less": (("    presumed:\n", "    presumed:\n      enabled: false\n"),),
    "shorter approvals": (("    months: 6\n", "    months: 3\n"),),
    "another state's physicians": (("license_state: MS", "license_state: AL"),),
    "a longer clock": (("standard: {days: 7}", "standard: {days: 8}"),),
}
