"""A trading partner's configuration: how one platform's messages are to be read."""

import json
import re
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from events.personal_types import Model
from events.request import Channel, LineOfBusiness

PARTNER_HEADER: Final = "partner"
"""The header of a record that names its trading partner."""
PARTNER_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("should be a time zone of the IANA database, as America/Chicago") from None
    return name


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error:
        raise ValueError("should be a regular expression") from None
    return text


_compiled = lru_cache(maxsize=256)(re.compile)
Pattern = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_pattern)]
_A_LIST = Field(strict=False)


class LineOfBusinessRule(Model):
    """One way to tell a member's line of business; exactly one of the three tests."""

    member_id: Pattern | None = None
    """Matched at the start of the member's id."""
    plan: Pattern | None = None
    """Matched at the start of the coverage's plan or group."""
    payer: str | None = None
    """Equal to the payer's id."""
    is_: Annotated[LineOfBusiness, Field(alias="is")]

    @model_validator(mode="after")
    def _one_test(self) -> "LineOfBusinessRule":
        if sum(test is not None for test in (self.member_id, self.plan, self.payer)) != 1:
            raise PydanticCustomError("one_test", "should have exactly one of member_id, plan and payer")
        return self

    def matches(self, member_id: str, plans: tuple[str, ...], payer: str | None) -> bool:
        """Whether the rule applies to a member."""
        if self.member_id is not None:
            return _compiled(self.member_id).match(member_id) is not None
        if self.plan is not None:
            return any(_compiled(self.plan).match(plan) for plan in plans)
        return self.payer == payer


class Partner(Model):
    """One trading partner. What is not stated here is the same for all partners."""

    name: Annotated[str, Field(pattern=PARTNER_NAME)] = "partner"
    """Unique among a deployment's partners; traces count within it."""
    time_zone: Annotated[str, AfterValidator(_zone)]
    """Of times that a message states without an offset."""
    payer_ids: Annotated[tuple[str, ...], _A_LIST] = ()
    """The ids under which the partner addresses this payer."""
    senders: Annotated[tuple[str, ...], _A_LIST] = ()
    """The X12 interchange senders that are this partner, `ZZ:DELTAHOSP` (ISA05 and ISA06)."""
    lines_of_business: Annotated[tuple[LineOfBusinessRule, ...], _A_LIST, Field(min_length=1)]
    """The first that matches."""
    questionnaire: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    """The canonical of our questionnaire, without its version. Without it no answers are read as clinical facts."""
    policy_number: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """The policy to apply; by default, the deployment's."""
    channel: Channel | None = None
    """How the partner's requests reach the payer; by default electronically."""
    absent_quantity: Annotated[int, Field(ge=1)] | None = 1
    """The units of a line that states none; null refuses such a line."""

    def __hash__(self) -> int:
        # What is remembered of a partner is looked up for every message.
        return hash(self.name)

    @property
    def digest(self) -> str:
        """Identifies the configuration: SHA-256 of its canonical JSON."""
        content = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))
        return sha256(content.encode()).hexdigest()

    @property
    def zone(self) -> ZoneInfo:
        """The zone of times without an offset."""
        return ZoneInfo(self.time_zone)

    def line_of_business(self, member_id: str, plans: tuple[str, ...], payer: str | None) -> LineOfBusiness | None:
        """A member's line of business; None if no rule matches."""
        for rule in self.lines_of_business:
            if rule.matches(member_id, plans, payer):
                return rule.is_
        return None
