"""Corrections and withdrawals in a chain."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from policy_core.history.chain import Chain
from policy_core.publications.publication import Publication, publication
from tests.support.chains import NEW, OTHER, Edit, gestational_covered, nothing, revised

AT = datetime(2025, 6, 3, 12, tzinfo=UTC)


WRONG = publication(revised(gestational_covered), OTHER.known_through, published=AT)
"""A revision that its publisher did not mean."""


PUBLISHED = OTHER.accept(WRONG)


def correction(
    edit: Edit = nothing, day: date = NEW, chain: Chain = PUBLISHED, of: Publication = WRONG, **fields: Any
) -> Publication:
    made = publication(revised(edit, day), chain.known_through, published=AT + timedelta(days=9), corrects=of.digest)
    return replace(made, **fields)


def withdrawal(chain: Chain = PUBLISHED, of: Publication = WRONG, **fields: Any) -> Publication:
    base = chain.standing[chain.standing.index(of) - 1].document
    published = AT + timedelta(days=9)
    made = publication(base, chain.known_through, published=published, effective=of.effective, corrects=of.digest)
    return replace(made, **fields)
