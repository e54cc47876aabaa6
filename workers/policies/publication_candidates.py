"""What is to be published: the revisions of a document that are not published yet, a correction, a withdrawal."""

from datetime import date, datetime

from policy_core.document.models import PolicyDocument
from policy_core.history.acceptance import released
from policy_core.history.chain import Chain
from policy_core.loading.document_at_revision import as_of
from policy_core.publications.publication import Publication, publication, publications
from workers.console import CommandError


def candidates(
    document: PolicyDocument,
    chain: Chain,
    author: str,
    effective: date | None,
    published: datetime,
    *,
    retroactive: bool = False,
    corrects: Publication | None = None,
) -> list[Publication]:
    """What a document has that is not published yet.

    Its revisions behind the newest; behind the one before it where one is corrected; or all of a new policy's past.
    """
    newest = chain.newest
    made: list[Publication] = []
    if newest is None:
        for one in publications(document):
            # What a release packaged is its publisher's; of all else the past is as whoever publishes it says.
            before, packaged = made[-1].digest if made else None, one.digest in released()
            mine = None if packaged else author
            made.append(publication(one.document, before, author=mine, retroactive=retroactive and not packaged))
        return made
    standing = list(chain.standing)
    if corrects is not None:
        del standing[standing.index(corrects) :]
    elif document.digest() == newest.sha256:
        return []
    last = standing[-1].revision if standing else date.min
    later = [one.date for one in document.revisions if one.date > last] or [document.revisions[-1].date]
    for day in later:
        predecessor = made[-1].digest if made else newest.digest
        mine_from = effective if day == later[-1] else None
        past = as_of(document, day)
        made.append(
            publication(
                past,
                predecessor,
                author=author,
                effective=mine_from,
                published=published,
                retroactive=retroactive,
                corrects=corrects.digest if corrects is not None and not made else None,
            )
        )
    return made


def taken_back(chain: Chain, named: str) -> Publication:
    """The publication that is to be taken back, by the beginning of its digest.

    Raises:
        CommandError: None that stands has it.
    """
    found = [one for one in chain.standing if one.digest.startswith(named)]
    if len(found) != 1:
        several = "several publications have" if found else "no publication that stands has"
        raise CommandError(f"{several} the digest {named}: `dli policy history {chain.policy}` shows them")
    return found[0]


def withdrawal(chain: Chain, named: str, author: str, published: datetime, *, retroactive: bool) -> Publication:
    """The publication that takes one back and puts nothing in its place.

    Raises:
        CommandError: None that stands is named, or none stands before it.
    """
    corrected = taken_back(chain, named)
    at = chain.standing.index(corrected)
    if not at:
        raise CommandError(f"{corrected.digest} is the first of {chain.policy}: without it nothing would be left")
    return publication(
        chain.standing[at - 1].document,
        chain.known_through,
        author=author,
        effective=min(one.effective for one in chain.standing[at:]),
        published=published,
        retroactive=retroactive,
        corrects=corrected.digest,
    )
