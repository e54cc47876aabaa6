"""The policy documents that a log was decided under, found by what its decisions name."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from policy_core.determine import Policy
from policy_core.document.load import load
from policy_core.library import Library, documents
from workers.decide.handler import Decider
from workers.replay.log import ReplayError
from workers.settings import Settings


class Named(NamedTuple):
    """The document and the point of knowledge that a decision names."""

    number: str
    sha256: str
    known_through: str

    def __str__(self) -> str:
        return f"{self.number}, document {self.sha256[:12]}…, known through {self.known_through[:12]}…"


def name_of(policy: Policy) -> Named:
    """How decisions name a policy."""
    return Named(policy.number, policy.sha256, policy.known_through)


class Documents:
    """All documents there are, and deciders under each choice of them: one policy for each number."""

    def __init__(self, current: Iterable[Policy], default: str, earlier: Iterable[Policy] = ()) -> None:
        """Know documents.

        Args:
            current: The policies of the deployment.
            default: The number of the policy of a request that names none.
            earlier: Other documents of theirs, that decisions may name.
        """
        self._default = default
        self._current = {one.number: one for one in current}
        self._all = {name_of(one): one for one in (*earlier, *self._current.values())}
        self._deciders: dict[frozenset[Named], Decider] = {}

    def current(self) -> dict[str, Policy]:
        """The deployment's policy of each number."""
        return dict(self._current)

    def named(self, name: Named) -> Policy | None:
        """The policy that a decision was made under; None where it is not here."""
        return self._all.get(name)

    def decider(self, policies: dict[str, Policy]) -> Decider:
        """Who decides under a choice of policies."""
        key = frozenset(map(name_of, policies.values()))
        if key not in self._deciders:
            self._deciders[key] = Decider(Library(policies.values(), self._default))
        return self._deciders[key]


def read_documents(found: Settings, earlier: Sequence[Path]) -> Documents:
    """The documents of a deployment, and others from folders.

    Raises:
        PolicyDocumentError: One cannot be used.
        ReplayError: The default policy is not among them.
    """
    current = [Policy(load(file)) for file in documents(found.policies)]
    if found.default_policy not in {one.number for one in current}:
        raise ReplayError(f"the default policy {found.default_policy} is not in the folders of documents")
    return Documents(current, found.default_policy, [Policy(load(file)) for file in documents(earlier)])
