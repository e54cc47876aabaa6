"""The changelog has the form of Keep a Changelog 1.1.0, with what is answered otherwise on top of each release."""

import re

import pytest

from tests.support.places import ROOT

PAGE = (ROOT / "CHANGELOG.md").read_text("utf-8")
FORM = "https://keepachangelog.com/en/1.1.0/"
SECTIONS = ["Answers", "Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
RELEASE = re.compile(r"## \[(Unreleased|\d+\.\d+\.\d+)\](?: - (\d{4}-\d{2}-\d{2}))?")


def mistakes(page: str) -> list[str]:
    """What of a page is not as it should be."""
    found = [] if page.startswith("# Changelog\n") and FORM in page.split("\n## ", 1)[0] else ["no heading, or no form"]
    releases = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    heads = [RELEASE.fullmatch(one.splitlines()[0]) for one in releases]
    found += [one.splitlines()[0] for one, head in zip(releases, heads, strict=True) if head is None]
    known = [head for head in heads if head is not None]
    if [head[1] for head in known][:1] != ["Unreleased"] or "Unreleased" in [head[1] for head in known][1:]:
        found.append("Unreleased is not first, or not alone")
    found += [f"{head[1]} and its day" for head in known if (head[2] is None) != (head[1] == "Unreleased")]
    dated = [(head[2] or "", tuple(map(int, head[1].split(".")))) for head in known if head[1] != "Unreleased"]
    if dated != sorted(dated, reverse=True):
        found.append("the newest release is not first")
    return found + [mistake for one in releases for mistake in _of_a_release(one)]


def _of_a_release(text: str) -> list[str]:
    title, _, rest = text.partition("\n")
    before, *sections = re.split(r"^### ", rest, flags=re.MULTILINE)
    found = [f"{title}: text before its sections"] if before.strip() else []
    names = [one.partition("\n")[0] for one in sections]
    found += [f"{title}: {name} is no section" for name in names if name not in SECTIONS]
    if len(set(names)) < len(names) or "Answers" in names[1:]:
        found.append(f"{title}: a section twice, or Answers not first")
    for name, section in zip(names, sections, strict=True):
        lines = [line for line in section.splitlines()[1:] if line]
        # An entry begins with a dash, and goes on indented.
        if not lines or not lines[0].startswith("- ") or any(not line.startswith(("- ", "  ")) for line in lines):
            found.append(f"{title}: {name} is no list of entries")
    return found


def test_the_changelog_has_its_form() -> None:
    assert mistakes(PAGE) == []


TOP = f"# Changelog\n\nAs in {FORM}.\n\n"
GOOD = TOP + (
    "## [Unreleased]\n\n### Answers\n- One.\n\n### Fixed\n- Two,\n  and on.\n\n"
    "## [1.2.0] - 2026-01-02\n\n### Added\n- Three.\n\n## [1.1.0] - 2026-01-01\n\n### Security\n- Four.\n"
)


def test_a_good_one_has_no_mistake() -> None:
    assert mistakes(GOOD) == []


@pytest.mark.parametrize(
    ("before", "behind", "mistake"),
    [
        (FORM, "nothing", "no heading, or no form"),
        ("# Changelog", "# Changes", "no heading, or no form"),
        ("## [Unreleased]", "## Unreleased", "## Unreleased"),
        ("## [Unreleased]", "## [2.0.0] - 2026-02-02", "Unreleased is not first, or not alone"),
        ("## [1.1.0] - 2026-01-01", "## [Unreleased]", "Unreleased is not first, or not alone"),
        (" - 2026-01-02", "", "1.2.0 and its day"),
        ("[Unreleased]", "[Unreleased] - 2026-03-03", "Unreleased and its day"),
        ("1.1.0] - 2026-01-01", "1.3.0] - 2026-02-01", "the newest release is not first"),
        ("### Fixed", "### Mended", "## [Unreleased]: Mended is no section"),
        ("### Fixed", "### Answers", "## [Unreleased]: a section twice, or Answers not first"),
        ("### Answers\n- One.\n\n### Fixed", "### Fixed\n- One.\n\n### Answers",
         "## [Unreleased]: a section twice, or Answers not first"),
        ("- Two,", "Two,", "## [Unreleased]: Fixed is no list of entries"),
        ("- Four.\n", "", "## [1.1.0] - 2026-01-01: Security is no list of entries"),
        ("### Added", "Words.\n\n### Added", "## [1.2.0] - 2026-01-02: text before its sections"),
    ],
)  # fmt: skip
def test_a_bad_one_is_found(before: str, behind: str, mistake: str) -> None:
    assert mistake in mistakes(GOOD.replace(before, behind, 1))
