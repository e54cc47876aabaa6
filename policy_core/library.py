"""All policies of a deployment, loaded from folders of documents."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from policy_core.determine import Policy
from policy_core.document.load import load
from policy_core.document.problems import PolicyDocumentError, Problem

PACKAGED = Path(__file__).parent / "policies"
"""The documents that come with the software."""


class Library:
    """Compiled policies by number; one of them is the default."""

    def __init__(self, policies: Iterable[Policy], default: str) -> None:
        self._policies = {policy.number: policy for policy in policies}
        self.default = default

    def __getitem__(self, number: str) -> Policy:
        return self._policies[number]

    def __iter__(self) -> Iterator[Policy]:
        return iter(self._policies.values())

    @property
    def numbers(self) -> list[str]:
        """The policies' numbers."""
        return sorted(self._policies)

    def named(self, number: str | None) -> Policy | None:
        """The policy of that number, or the default where none is named; None where it is not loaded."""
        return self._policies.get(self.default if number is None else number)


def load_library(folders: Sequence[Path], default: str) -> Library:
    """The policies of every `*.yaml` document in `folders`.

    Raises:
        PolicyDocumentError: A folder or document that cannot be used, two documents of one number, or no default.
    """
    found: dict[str, tuple[Path, Policy]] = {}
    for file in documents(folders):
        policy = Policy(load(file))
        if policy.number in found:
            other = found[policy.number][0]
            message = f"`{policy.number}` is in {other} already; a policy has one document"
            raise PolicyDocumentError(str(file), [Problem(("number",), message)])
        found[policy.number] = (file, policy)
    if default not in found:
        where = ", ".join(str(folder) for folder in folders)
        message = f"the default policy `{default}` is not among those loaded: {', '.join(sorted(found)) or 'none'}"
        raise PolicyDocumentError(where, [Problem((), message)])
    return Library([policy for _, policy in found.values()], default)


def documents(folders: Sequence[Path]) -> list[Path]:
    """Every policy document in the folders.

    Raises:
        PolicyDocumentError: A folder that is not there.
    """
    for folder in folders:
        if not folder.is_dir():
            raise PolicyDocumentError(str(folder), [Problem((), "no such folder of policy documents")])
    return [file for folder in folders for file in sorted(folder.glob("*.yaml"))]
