"""What the packaged documents know and the topic of revisions lacks: published by whoever may, never by a worker.

Workers read `policy.revisions` and cannot write to it: whoever got into one could otherwise publish a policy that
certifies anything. So whoever applies the topics brings them what the documents of their release know, before the
release's workers start.
"""

from collections.abc import Iterable, Sequence

from events.topics import POLICY_REVISIONS
from policy_core.history.chain import Chain
from policy_core.history.library import Library
from policy_core.publications.publication import Publication, publication
from workers.errors import DliError
from workers.policies.revision_events import Judging, as_record
from workers.policies.revision_topic import read_known, send
from workers.settings import Settings

ROUNDS = 3
"""Of publishing what the topic lacks: what it still lacks then, it refuses."""


class ForkedError(DliError):
    """The packaged documents and the topic of revisions contradict each other; the message says where."""


def publish_packaged(settings: Settings, library: Library) -> int:
    """Bring the topic of revisions what it lacks of the packaged documents; how many revisions that were.

    Raises:
        ForkedError: The two contradict each other, nobody signed what the topic lacks, or it is refused.
        ReadingError: The brokers do not answer, give no right, or the topic is not the one that was anchored.
        PolicyDocumentError: The publishers' keys cannot be read.
    """
    packaged, count = [library.chain(number) for number in library.numbers], 0
    for _ in range(ROUNDS):
        known = read_known(settings, library)
        missing = lacking(known.judging, packaged, known.end, settings)
        if not missing:
            return count
        topic = settings.topic(POLICY_REVISIONS)
        send(settings, [as_record(one, topic, settings.source, settings.mode) for one in missing])
        count += len(missing)
    rejected = [one.rejected for one in read_known(settings, library).verdicts.values() if one.rejected is not None]
    why = "; ".join(f"{error.path}: {error.message}" for error in (rejected[-1].errors if rejected else ()))
    one = missing[0]
    where = settings.topic(POLICY_REVISIONS)
    raise ForkedError(f"policy {one.policy}: {where} does not take the packaged revision of {one.revision}: {why}")


def is_behind(settings: Settings, library: Library) -> bool:
    """Whether the topic of revisions lacks something of the packaged documents.

    Raises:
        ForkedError: The two contradict each other, or nobody signed what the topic lacks.
        ReadingError: The brokers do not answer, or the topic is not the one that was anchored.
        PolicyDocumentError: The publishers' keys cannot be read.
    """
    known = read_known(settings, library)
    return bool(lacking(known.judging, [library.chain(number) for number in library.numbers], known.end, settings))


def lacking(judging: Judging, packaged: Iterable[Chain], position: int, settings: Settings) -> Sequence[Publication]:
    """What the topic, judged up to `position`, lacks of the packaged documents, behind what it has.

    Raises:
        ForkedError: The two contradict each other, or nobody signed what is lacking.
    """
    topic = settings.topic(POLICY_REVISIONS)
    return [one for chain in packaged for one in _lacking(judging, chain, position, topic)]


def _lacking(judging: Judging, packaged: Chain, position: int, topic: str) -> Sequence[Publication]:
    known = judging.chains.get(packaged.policy, Chain(packaged.policy))
    # Who published the same document, and when, may differ; and what was corrected since was published once.
    published = {(one.revision, one.sha256) for one in known}
    last = known.standing[-1] if known.links else None
    made: list[Publication] = []
    for one in packaged:
        if not made and (one.revision, one.sha256) in published:
            continue
        # What the topic would refuse is not sent: it has a later one, or another one before this.
        if last is not None and not made and not _continues(last, one):
            theirs = known.in_force(one.revision) or known.links[0]
            raise ForkedError(
                f"policy {packaged.policy}: the packaged document has the revision of {one.revision} as "
                f"{one.sha256}, but {topic} has that of {theirs.revision} as {theirs.sha256}; deploy "
                "the document that was published, or take that revision back: `dli policy publish --corrects` puts "
                "another in its place, `dli policy withdraw` none"
            )
        made.append(publication(one.document, made[-1].digest if made else known.known_through))
        if judging.terms.wants_signature(position, made[-1].digest):
            raise ForkedError(
                f"policy {packaged.policy}: {topic} lacks the packaged revision of {one.revision}, and "
                "nobody has signed it: `dli policy publish FILE --key KEY --execute` does both"
            )
    return made


def _continues(last: Publication, one: Publication) -> bool:
    """Whether a packaged revision comes behind what stands last, and knows the history that this has."""
    return one.revision > last.revision and one.document.revisions[:-1] == last.document.revisions
