"""Our own code, read by bandit: each finding has an answer of ours, and each answer its finding."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.supply_chain.check import FOLDER, ROOT, AuditError, Outcome, entries, last_line, outcome, ran

CHECK = "our code"
ANSWERS = FOLDER / "findings.yaml"
READ = ("workers", "events", "policy_core", "deploy")
_FINDINGS = 1
"""How bandit ends where it found something."""


@dataclass(frozen=True, order=True)
class Finding:
    """One finding of bandit."""

    test: str
    file: str
    line: int
    code: str
    """The line, without its indentation."""
    what: str


@dataclass(frozen=True)
class Answer:
    """What a person answers to one finding."""

    test: str
    file: str
    code: str
    """Part of the finding's line: what it is about stays when lines move."""

    def meets(self, finding: Finding) -> bool:
        """Whether it answers that finding."""
        return (self.test, self.file) == (finding.test, finding.file) and self.code in finding.code


def findings(root: Path = ROOT, folders: Sequence[str] = READ) -> list[Finding]:
    """What bandit finds there, whatever comments ask it to pass over.

    Raises:
        AuditError: It is not installed, or could not read a file.
    """
    done = ran(
        "bandit", "--quiet", "--recursive", "--ignore-nosec", "--format", "json", "--exclude", "*/target/*",
        *folders, cwd=root,
    )  # fmt: skip
    if done.returncode not in {0, _FINDINGS} or not done.stdout.strip():
        raise AuditError(f"bandit ends with {done.returncode}: {last_line(done.stderr)}")
    report = json.loads(done.stdout)
    for unread in report["errors"]:
        raise AuditError(f"{unread['filename']}: bandit could not read it ({unread['reason']})")
    return sorted(_finding(root, one) for one in report["results"])


def _finding(root: Path, one: dict[str, str | int]) -> Finding:
    file, number = Path(str(one["filename"])), int(one["line_number"])
    line = (root / file).read_text("utf-8").splitlines()[number - 1].strip()
    return Finding(str(one["test_id"]), file.as_posix().removeprefix("./"), number, line, str(one["issue_text"]))


def answers(file: Path = ANSWERS) -> list[Answer]:
    """What was answered.

    Raises:
        AuditError: A mistake in the file.
    """
    found = entries(file, "findings", "test", "file", "code", "why")
    return [Answer(str(one["test"]), str(one["file"]), str(one["code"])) for one in found]


def judged(found: Iterable[Finding], given: Iterable[Answer]) -> list[str]:
    """Findings without an answer, and answers without a finding: each answer is for one."""
    open_ones: list[Finding] = []
    left = list(given)
    for finding in found:
        meant = next((one for one in left if one.meets(finding)), None)
        if meant is None:
            open_ones.append(finding)
        else:
            left.remove(meant)
    return [
        *(f"{one.file}:{one.line}: {one.test}, {one.what}: {one.code[:80]}" for one in open_ones),
        *(f"{one.file}: {one.test} is answered, and not found any more: {one.code}" for one in left),
    ]


def check(*, root: Path = ROOT, folders: Sequence[str] = READ, given: Path = ANSWERS) -> Outcome:
    """Hold bandit's findings against the answers.

    Raises:
        AuditError: The answers have a mistake, or bandit could not do its work.
    """
    ours = answers(given)
    found = findings(root, folders)
    return outcome(CHECK, f"{', '.join(folders)}: {len(found)} findings, {len(ours)} answers", judged(found, ours))
