"""The policy documents that a log was decided under, found by what its decisions name."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from policy_core.determine import Policy
from policy_core.document.history import as_of
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

    def asked(self, number: str | None) -> Policy | None:
        """The deployment's policy of a request that names this number, or none."""
        return self._current.get(self._default if number is None else number)

    def named(self, name: Named) -> Policy | None:
        """The policy that a decision was made under; None where it is not here."""
        return self._all.get(name)

    def decider(self, policies: dict[str, Policy]) -> Decider:
        """Who decides under a choice of policies."""
        key = frozenset(map(name_of, policies.values()))
        if key not in self._deciders:
            self._deciders[key] = Decider(Library(policies.values(), self._default))
        return self._deciders[key]


@dataclass(frozen=True)
class Draft:
    """The document that a log is to be decided under: a file, or a policy as it read at an earlier revision."""

    file: Path | None = None
    revision: date | None = None
    number: str | None = None
    """The policy whose revision it is; the default where none is named."""

    def policy(self, documents: Documents) -> Policy:
        """It, compiled.

        Raises:
            PolicyDocumentError: The document cannot be used.
            ReplayError: There is no such revision.
        """
        if self.file is not None:
            return Policy(load(self.file))
        policy = documents.asked(self.number)
        if policy is None or self.revision is None:
            raise ReplayError(f"no policy {self.number}")
        try:
            return Policy(as_of(policy.document, self.revision))
        except ValueError:
            dates = ", ".join(str(one.revision.date) for one in policy.register.revisions)
            raise ReplayError(f"{policy.number} has no revision of {self.revision}; it has {dates}") from None


def draft(named: str, number: str | None) -> Draft:
    """What a person means by a file's name or a revision's date.

    Raises:
        ReplayError: It is neither.
    """
    try:
        return Draft(revision=date.fromisoformat(named), number=number)
    except ValueError:
        if not Path(named).is_file():
            raise ReplayError(f"{named}: neither a file nor the date of a revision") from None
        return Draft(file=Path(named))


@lru_cache(maxsize=4)
def documents_of(found: Settings, earlier: tuple[Path, ...]) -> Documents:
    """The documents of a deployment, and others from folders; compiled once in each process.

    Raises:
        PolicyDocumentError: One cannot be used.
        ReplayError: The default policy is not among them.
    """
    current = [Policy(load(file)) for file in documents(found.policies)]
    if found.default_policy not in {one.number for one in current}:
        raise ReplayError(f"the default policy {found.default_policy} is not in the folders of documents")
    return Documents(current, found.default_policy, [Policy(load(file)) for file in documents(earlier)])
