"""Where the members of a group answer, as they tell it."""

import pytest

from workers.kafka.lag import address_in

TOLD = '{"assignment":{"actives":{}},"url":"http://10.0.0.7:6066","topic_groups":{}}'


@pytest.mark.parametrize(
    ("metadata", "address"),
    [
        (f"\x00\x04\x00\x19x.authorization.decisions\x00\x00\\x99{TOLD}", "http://10.0.0.7:6066"),
        ({"topics": ["x"], "user_data": TOLD}, "http://10.0.0.7:6066"),
        (TOLD.replace("http:", "file:"), None),
        (TOLD.replace("http://10.0.0.7:6066", "http://["), None),
        ('{"url": 7}', None),
        ('{"url"', None),
        ("[" * 9, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_members_address_is_what_it_tells_its_group(metadata: object, address: str | None) -> None:
    """A member's address is what it tells its group, if that is one of a web server."""
    assert address_in(metadata) == address
