"""All policies of a deployment, loaded from folders of documents, and all that is known of their past.

A library never changes. What is learnt later makes another one (`knowing_also`), and whoever holds the old one goes on
with what it knew.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from policy_core.document.problems import PolicyDocumentError, Problem
from policy_core.evaluate.determine import Policy
from policy_core.history.chain import Chain, chain_of, policy_of
from policy_core.loading.load import load

PACKAGED = Path(__file__).parents[1] / "policies"
"""The documents that come with the software."""


class Knowledge(Protocol):
    """Whoever knows the policies, now and later."""

    def snapshot(self) -> "Library":
        """The policies as they are known now; what is returned never changes."""


class Library:
    """Compiled policies by number; one of them is the default."""

    def __init__(
        self, policies: Iterable[Policy], default: str | None, chains: Mapping[str, Chain] | None = None
    ) -> None:
        """Hold policies, each with its chain; where none is given, the past that is in the document itself.

        Without a default, nothing is decided by a request that names no policy.
        """
        self._policies = {policy.number: policy for policy in policies}
        self.default = default
        self._chains = dict(chains or {})

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
        wanted = self.default if number is None else number
        return self._policies.get(wanted) if wanted is not None else None

    # --- what was known when ---

    def snapshot(self) -> "Library":
        """The library as it is now: itself."""
        return self

    def chain(self, number: str | None) -> Chain:
        """All that is known of a policy's revisions, or of the default's; empty where the policy is not loaded."""
        number = number or self.default or ""
        if number not in self._chains:
            policy = self._policies.get(number)
            self._chains[number] = chain_of(policy.document) if policy is not None else Chain(number)
        return self._chains[number]

    def knowing(self, number: str, known_through: str) -> Policy | None:
        """The policy as it was known through the publication of that digest, or of one that begins so.

        None where no such publication is known: then what was decided under it cannot be decided again.
        """
        current = self._policies.get(number)
        if current is not None and current.known_through.startswith(known_through):
            return current
        found = self.chain(number).find(known_through)
        return policy_of(found) if found is not None else None

    def knowing_also(self, chain: Chain) -> "Library":
        """A library that has this chain of a policy in place of what it had."""
        if chain.newest is None:
            return self
        current = self._policies.get(chain.policy)
        same = current is not None and current.known_through == chain.known_through
        policies = {**self._policies, chain.policy: current if current and same else policy_of(chain.newest)}
        return Library(policies.values(), self.default, {**self._chains, chain.policy: chain})


def load_library(folders: Sequence[Path], default: str | None) -> Library:
    """The policies of every `*.yaml` document in `folders`; `default` is None where nothing is to be decided by them.

    Raises:
        PolicyDocumentError: A folder or document that cannot be used, two documents of one number, or no default.
    """
    found: dict[str, tuple[Path, Policy]] = {}
    chains: dict[str, Chain] = {}
    for file in documents(folders):
        document = load(file)
        if document.number in found:
            other = found[document.number][0]
            message = f"`{document.number}` is in {other} already; a policy has one document"
            raise PolicyDocumentError(str(file), [Problem(("number",), message)])
        chain = chains[document.number] = chain_of(document)
        found[document.number] = (file, Policy(document, chain.known_through))
    if default is not None and default not in found:
        where = ", ".join(str(folder) for folder in folders)
        message = f"the default policy `{default}` is not among those loaded: {', '.join(sorted(found)) or 'none'}"
        raise PolicyDocumentError(where, [Problem((), message)])
    return Library([policy for _, policy in found.values()], default, chains)


def documents(folders: Sequence[Path]) -> list[Path]:
    """Every policy document in the folders.

    Raises:
        PolicyDocumentError: A folder that is not there.
    """
    for folder in folders:
        if not folder.is_dir():
            raise PolicyDocumentError(str(folder), [Problem((), "no such folder of policy documents")])
    return [file for folder in folders for file in sorted(folder.glob("*.yaml"))]
