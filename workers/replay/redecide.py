"""Recreates the decision agent's output for a request, under given documents and in a given format."""

from typing import Any, NamedTuple

from events.answer import wrapped
from events.decode import RejectedError
from events.envelope import Headers, Mode, binary_attributes, is_binary, loads
from events.typed_reader import Event
from policy_core.evaluate.determine import Policy
from workers.configuration.settings import Settings
from workers.dead_letters.write import rejection
from workers.decide.handler import decision_wrapping
from workers.kafka.records import Record
from workers.replay.documents import Documents, Named


class Manner(NamedTuple):
    """The source and content mode of an event."""

    source: str
    mode: Mode


class Redecider:
    """Decides requests again as recorded.

    The documents, writer, mode and source of one answer are tried first for the next: they change rarely in a log.
    """

    def __init__(self, documents: Documents, settings: Settings) -> None:
        self._documents = documents
        self._settings = settings
        self.policies: dict[str, Policy] = documents.current()
        self.manner = Manner(settings.source, settings.mode)
        self._writer = documents.writers.newest.version
        self._decider = documents.decider(self.policies)

    def under(self, policy: Policy) -> None:
        """Use this document from now on."""
        self.policies = self.policies | {policy.number: policy}
        self._decider = self._documents.decider(self.policies)

    def written_by(self, version: int) -> bool:
        """Use this version of the writer from now on; returns whether it is here."""
        if self._documents.writers.of(version) is None:
            return False
        self._writer = version
        return True

    def decision(self, record: Record, received: Event) -> tuple[bytes, Headers]:
        """The value and headers of the decision's record.

        Raises:
            RejectedError: The request becomes a dead letter.
        """
        decided = self._decider.decide(received.request, writer=self._writer)
        wrapping = decision_wrapping(
            received.request, decided.encoded.decision_id, *self.manner, mark=None, writer=self._writer
        )
        return wrapped(decided.encoded.data, record.position, received.cause, wrapping)

    def letter(
        self, record: Record, rejected: RejectedError, received: Event | None, *, small: bool = False
    ) -> tuple[bytes, bytes, Headers]:
        """The key, value and headers of the dead letter's record, or of its `small` form."""
        if received is not None:
            rejected.cause = received.cause
            rejected.request_id = received.request.request_id
        settings = self._settings.model_copy(update={"source": self.manner.source, "mode": self.manner.mode})
        made = rejection(record, rejected, settings, small=small)
        return made.key, made.value, made.headers


class Reading(NamedTuple):
    """A parsed recorded answer."""

    manner: Manner | None
    """None if its envelope is unreadable."""
    attributes: dict[str, Any]
    data: dict[str, Any]

    def named(self) -> Named | None:
        """The document that it names first; all lines of a recommendation are of one policy."""
        policies = self.data.get("policies")
        policy = policies[0] if isinstance(policies, list) and policies else None
        if not isinstance(policy, dict):
            return None
        return Named(*(str(policy.get(name)) for name in Named._fields))


def read(record: Record) -> Reading:
    """Parse a recorded answer, as far as possible."""
    try:
        tree = loads(record.value or b"")
    except ValueError:
        return Reading(None, {}, {})
    if not isinstance(tree, dict):
        return Reading(None, {}, {})
    binary = is_binary(record.headers)
    attributes = binary_attributes(record.headers) if binary else {name: tree[name] for name in tree if name != "data"}
    data = tree if binary else tree.get("data")
    source = attributes.get("source")
    manner = Manner(source, "binary" if binary else "structured") if isinstance(source, str) else None
    return Reading(manner, attributes, data if isinstance(data, dict) else {})


def differences(recorded: Reading, made: Reading) -> list[str]:
    """The paths at which two answers differ, without values."""
    found = [f"envelope.{path}" for path in _paths(recorded.attributes, made.attributes, "")]
    return found + list(_paths(recorded.data, made.data, ""))


def _paths(recorded: Any, made: Any, at: str) -> list[str]:
    if isinstance(recorded, dict) and isinstance(made, dict):
        names = dict.fromkeys([*recorded, *made])
        return [
            path
            for name in names
            for path in _paths(recorded.get(name, _ABSENT), made.get(name, _ABSENT), _at(at, name))
        ]
    if isinstance(recorded, list) and isinstance(made, list) and len(recorded) == len(made):
        return [
            path for n, pair in enumerate(zip(recorded, made, strict=True)) for path in _paths(*pair, _at(at, str(n)))
        ]
    same = type(recorded) is type(made) and recorded == made
    return [] if same else [at]


_ABSENT = object()


def _at(path: str, name: str) -> str:
    # An unknown name may be anything, including personal data.
    visible = name if name.replace("_", "").isalnum() and name.isascii() and len(name) <= 64 else "?"  # noqa: PLR2004 (as in dead letters)
    return f"{path}.{visible}" if path else visible
