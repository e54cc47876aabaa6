"""The public figures in their order, each with its name and its definition in plain words."""

from typing import Literal, NamedTuple

Kind = Literal[
    "services", "share", "appeals", "extended", "times", "count", "ranked services", "ranked reasons", "rest"
]


class Definition(NamedTuple):
    """One figure."""

    id: str
    kind: Kind
    """What its value holds."""
    name: str
    says: str
    """What is counted, and what is not."""


class Part(NamedTuple):
    """Figures that one rule asks for."""

    title: str
    figures: tuple[Definition, ...]


BASIS = (
    (
        "A request is counted once with all that supersede it before its final determination: together they are one "
        "request here. Its time runs from the first submission to the final determination. That is when the reviewer "
        "decided or, where the software decided finally, when its decision was recorded. Its year is that of the "
        "determination, and its urgency that of the request that was determined. A request that revises, extends or "
        "renews one that was already determined is a request of its own."
    ),
    (
        "Approved means that all services were certified (A1). Certified in part (A2) and modified (A6) are shown "
        "apart, and count as neither approved nor denied. Denied means a final A3, which only a physician issues: the "
        "software denies nothing. Each percentage is of all requests of its kind with a final A1, A2, A3 or A6."
    ),
    (
        "An appeal is a reconsideration of a denied request (A3). Appeals are counted as appeals alone, and the denial "
        "before them stays counted as a denial. A reconsideration of any other determination is a request like others."
    ),
    (
        "Percentages are rounded to one decimal. No small number is withheld or rounded: every count is shown as it "
        "is. The report names no person, provider or request."
    ),
)

_SHARES = {
    "approved": ("approved", "whose final determination certified all services (A1)"),
    "a": ("certified in part", "whose final determination certified some services (A2)"),
    "b": ("modified", "whose final determination certified less than was asked, and refused no service whole (A6)"),
    "denied": ("denied", "whose final determination refused services and certified none (A3)"),
}


def _shares(urgency: str, approved: str, denied: str) -> tuple[Definition, ...]:
    ids = {"approved": approved, "a": f"{approved}a", "b": f"{approved}b", "denied": denied}
    return tuple(
        Definition(
            ids[kind],
            "share",
            f"{urgency.capitalize()} requests {name}",
            f"The percentage of {urgency} requests {says}. Appeals are not counted.",
        )
        for kind, (name, says) in _SHARES.items()
    )


def _appealed(id_: str, urgency: str) -> Definition:
    says = (
        f"Of the {urgency} appeals determined in the year, the percentage whose determination certified all services "
        "(A1). Appeals certified in part (A2) or modified (A6) are shown apart."
    )
    return Definition(id_, "appeals", f"{urgency.capitalize()} requests approved after appeal", says)


def _times(id_: str, urgency: str) -> Definition:
    says = (
        f"The average and the median time from the first submission to the final determination of {urgency} requests "
        "with a final A1, A2, A3 or A6, from every single time. The median of an even number is midway between the "
        "middle two. Appeals are not counted."
    )
    return Definition(id_, "times", f"Time to determination, {urgency} requests", says)


PARTS = (
    Part(
        "Prior authorization metrics: 19 Miss. Code R. 3-19.22 and CMS-0057-F",
        (
            Definition(
                "1",
                "services",
                "Services that require prior authorization",
                "The codes on the policy's list that, on at least one day of the year, the policy listed and their "
                "code set had.",
            ),
            *_shares("standard", "2", "3"),
            _appealed("4", "standard"),
            _appealed("4a", "expedited"),
            Definition(
                "5",
                "extended",
                "Requests approved after the timeframe was extended",
                "The percentage of all requests, standard and expedited, for which the timeframe was extended at least "
                "once and whose final determination certified all services (A1). Appeals are not counted.",
            ),
            *_shares("expedited", "6", "7"),
            _times("8", "standard"),
            _times("9", "expedited"),
        ),
    ),
    Part(
        "Counts: Miss. Code § 83-5-935",
        (
            Definition(
                "requests",
                "count",
                "Requests",
                "Requests with a final A1, A2, A3 or A6 in the year, standard and expedited, without appeals.",
            ),
            Definition("denials", "count", "Denials", "Those of them that were denied (A3)."),
            Definition("appeals", "count", "Appeals", "Appeals with a final A1, A2, A3 or A6 in the year."),
            Definition(
                "reversals",
                "count",
                "Reversals",
                "Those of the appeals that were approved (A1). Certified in part (A2) and modified (A6) are shown "
                "apart.",
            ),
            Definition(
                "not electronic",
                "count",
                "Requests not submitted electronically",
                "Requests, without appeals, whose first submission came by another channel than electronic: portal, "
                "fax, phone or mail, each shown.",
            ),
            Definition(
                "denied services",
                "ranked services",
                "Most denied services",
                "The ten services refused most often: service lines with a final A3 in the requests above, in those "
                "certified in part too. Equal counts are in the order of their codes.",
            ),
            Definition(
                "reasons",
                "ranked reasons",
                "Most frequent reasons for denial",
                "The ten reasons (X12 code list 886) given most often for those lines, each counted once a line. Equal "
                "counts are in the order of their codes.",
            ),
        ),
    ),
    Part(
        "What no figure counts",
        (
            Definition(
                "left out",
                "rest",
                "Requests left out",
                "Open: pended when this report was made, and first submitted before the end of the year. Cancelled: "
                "within the year, approvals that were cancelled later included. Contact payer: referred to another "
                "program within the year (CT). No end known: superseded within the year by a request that is not on "
                "record. A cancellation itself is no request.",
            ),
        ),
    ),
)
"""All figures, in the order of the report."""
