"""All policies of a deployment, loaded from folders of documents, with their known history.

A library is immutable. New knowledge makes a new library (`knowing_also`); holders of the old one are not affected.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from policy_core.document.problems import PolicyDocumentError, Problem
from policy_core.evaluate.determine import Policy
from policy_core.history.chain import Chain, chain_of, policy_of
from policy_core.loading.load import load

PACKAGED = Path(__file__).parents[1] / "policies"
"""The documents packaged with the software."""


class Knowledge(Protocol):
    """A source of the current policies."""

    def snapshot(self) -> "Library":
        """The policies as known now; the result never changes."""


class Library:
    """Compiled policies by number, one of which may be the default."""

    def __init__(
        self, policies: Iterable[Policy], default: str | None, chains: Mapping[str, Chain] | None = None
    ) -> None:
        """Hold policies with their chains; by default, a chain is the history inside the document.

        Without a default policy, requests that name no policy cannot be decided.
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
        """The policy of that number, or the default if the number is None; None if it is not loaded."""
        wanted = self.default if number is None else number
        return self._policies.get(wanted) if wanted is not None else None

    # --- what was known when ---

    def snapshot(self) -> "Library":
        """The library itself."""
        return self

    def chain(self, number: str | None) -> Chain:
        """The known revisions of a policy, or of the default; empty if it is not loaded."""
        number = number or self.default or ""
        if number not in self._chains:
            policy = self._policies.get(number)
            self._chains[number] = chain_of(policy.document) if policy is not None else Chain(number)
        return self._chains[number]

    def knowing(self, number: str, known_through: str) -> Policy | None:
        """The policy as known through the publication whose digest equals or begins with `known_through`.

        None if no such publication is known: decisions made under it cannot be reproduced.
        """
        current = self._policies.get(number)
        if current is not None and current.known_through.startswith(known_through):
            return current
        found = self.chain(number).find(known_through)
        return policy_of(found) if found is not None else None

    def knowing_also(self, chain: Chain) -> "Library":
        """A library with this chain in place of the policy's old one."""
        if chain.newest is None:
            return self
        current = self._policies.get(chain.policy)
        same = current is not None and current.known_through == chain.known_through
        policies = {**self._policies, chain.policy: current if current and same else policy_of(chain.newest)}
        return Library(policies.values(), self.default, {**self._chains, chain.policy: chain})


def load_library(folders: Sequence[Path], default: str | None) -> Library:
    """The policies of every `*.yaml` document in `folders`; `default` may be None if nothing is to be decided.

    Raises:
        PolicyDocumentError: A folder or document cannot be used, two have the same number, or the default is missing.
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
        PolicyDocumentError: A folder does not exist.
    """
    for folder in folders:
        if not folder.is_dir():
            raise PolicyDocumentError(str(folder), [Problem((), "no such folder of policy documents")])
    return [file for folder in folders for file in sorted(folder.glob("*.yaml"))]
