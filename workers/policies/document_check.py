"""Check a document for its author: its warnings, its examples, and what they cover."""

from collections.abc import Iterator
from pathlib import Path

from policy_core.authoring.coverage import coverage
from policy_core.authoring.examples import Trial, run
from policy_core.document.problems import PolicyDocumentError, listed
from policy_core.evaluate.determine import Policy
from policy_core.loading.load import Read, located
from workers.console.printable import counted


def warnings_text(read: Read, file: Path) -> Iterator[str]:
    """The warnings for a document, a line each."""
    return (f"warning: {warning.sentence(str(file))}" for warning in read.warnings)


def run_examples(read: Read, policy: Policy, file: Path) -> Trial:
    """The examples of a document, run.

    Raises:
        PolicyDocumentError: An example is wrong, or the policy answers otherwise.
    """
    trial = run(policy)
    if trial.problems:
        raise PolicyDocumentError(str(file), [located(read.tree, problem) for problem in trial.problems])
    return trial


def coverage_text(policy: Policy, trial: Trial) -> Iterator[str]:
    """What the examples of a document reach, and what they do not, a line each."""
    if not policy.document.examples:
        yield "no examples"
        return
    found = coverage(policy, trial.tried)
    number = len(policy.document.examples)
    whole = ", and reach every rule of every edition and every indication" if found.complete else ""
    yield f"{counted(number, 'example')} hold{'s' if number == 1 else ''}{whole}"
    for since, rules in found.rules.items():
        if rules:
            yield f"edition {since}: no example reaches {_named('rule', rules)}"
    if found.indications:
        yield f"no example meets {_named('indication', found.indications)}"


def _named(what: str, names: tuple[str, ...]) -> str:
    return f"the {what if len(names) == 1 else what + 's'} {listed([f'`{name}`' for name in names])}"
