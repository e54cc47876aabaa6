"""Requests as platforms write them, in both modes and with any white space, and mutated at random."""

import json
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any, NamedTuple

from events.envelope import Headers
from tests.support import generator


class Sent(NamedTuple):
    """A record's value and headers."""

    value: bytes
    headers: Headers


SEPARATORS = ((",", ":"), (", ", ": "), (" ,\n", " :\t"))


def written(tree: dict[str, Any], rng: Random) -> Sent:
    """An event in one of the two modes."""
    separators = rng.choice(SEPARATORS)
    ascii_only = rng.random() < 0.5
    attributes = {
        "specversion": "1.0",
        "id": f"e-{rng.randrange(10**6)}",
        "source": "/claims/east",
        "type": "authorization.requested.v1",
    }
    for name in ("subject", "time", "datacontenttype", "correlationid", "causationid", "traceparent", "partitionkey"):
        if rng.random() < 0.4:
            attributes[name] = OPTIONAL[name]
    if rng.random() < 0.3:
        headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items() if name != "datacontenttype"]
        headers.append(("content-type", attributes.get("datacontenttype", "application/json").encode()))
        return Sent(json.dumps(tree, separators=separators, ensure_ascii=ascii_only).encode(), tuple(headers))
    event = {**attributes, "data": tree}
    return Sent(
        json.dumps(event, separators=separators, ensure_ascii=ascii_only).encode(),
        (("content-type", b"application/cloudevents+json"),),
    )


OPTIONAL = {
    "subject": "REQ-1",
    "time": "2025-06-02T09:30:00-05:00",
    "datacontenttype": "application/json",
    "correlationid": "matter-17",
    "causationid": "call-3",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "partitionkey": "k",
}


def events(seed: int, count: int) -> Iterator[Sent]:
    """Generated requests, some changed in meaning, some in writing, some broken."""
    for n in range(count):
        rng = Random(f"{seed}:{n}")
        tree = generator.request(seed, n, described=n % 3 == 0)
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            _change(tree, rng)
        sent = written(tree, rng)
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            sent = _broken(sent, rng)
        yield sent


VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        1.0,
        1e3,
        2**31,
        2**70,
        "",
        " ",
        "x",
        "x" * 257,
        [],
        {},
        [[]],
        {"a": None},
        ["a", "a"],
    ),
    *(
        "2025-02-30",
        "2025-06-02",
        "9999-01-01",
        "2025-06-02T09:30:00Z",
        "2025-06-02T09:30:00.250+00:00",
        "0001-01-01T00:00:00-12:00",
    ),
    *(
        "2025-06-02t09:30:00z",
        "2025-06-02T24:00:00Z",
        "2025-06-02T09:30:60Z",
        "9901-01-01T00:00:00Z",
        "electronic",
        "fax",
    ),
    *(
        "c92.02",
        " C9202 ",
        "C92-02",
        "\u0043\uff19",
        "a\u202eb",
        "a\x85b",
        "a\x7fb",
        "a\\b",
        'a"b',
        "a\nb",
        "雪",
        "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    ),
    *("commercial", "fep", "member", "donor", "initial", "cancellation", "reconsideration", "1234567893", "1234567890"),
    *("female", "Male", "207RH0003X", "207RH0003x", "11", "011", "1\n", "LT", "lt"),
    *(["59", "26"], ["26", "26"], ["26", None], ["LT", "RT", "26", "59", "KX"], ["2\u0666"], {"b": {}, "a": [2, 1]}),
)


def _change(tree: dict[str, Any], rng: Random) -> None:
    """Change one field somewhere: its value, its place among the others, or its name; or add one."""
    holder: Any = tree
    while True:
        below = [
            value
            for value in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(value, dict | list) and value
        ]
        if not below or rng.random() < 0.3:
            break
        holder = rng.choice(below)
    key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
    kind = rng.randrange(6)
    if kind <= 2:
        holder[key] = deepcopy(rng.choice(VALUES))
    elif kind == 3 and isinstance(holder, dict):
        items = list(holder.items())
        rng.shuffle(items)
        holder.clear()
        holder.update(items)
    elif kind == 4 and isinstance(holder, dict):
        holder[rng.choice(NAMES)] = deepcopy(rng.choice(VALUES))
    elif isinstance(holder, dict):
        del holder[key]
    else:
        holder.append(deepcopy(holder[key]))


NAMES = (
    *("first_submitted_at", "channel", "supersedes", "policy_number", "prior_authorization_number", "performed_on"),
    *("birth_date", "sex", "specialty", "place_of_service", "modifiers"),
    *("unheard_of", "clinical", "purposes", "units", "code", "é"),
)

PIECES = (
    *(
        b" ",
        b"\n",
        b",",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"\\",
        b"\\u0041",
        b"\\n",
        b"\xc3\xa9",
        b"\xff",
        b"\xc2\x85",
    ),
    *(
        b"null",
        b"true",
        b"1.0",
        b"1e0",
        b"-0",
        b"00",
        b"NaN",
        b"\x7f",
        b"\x00",
        b'"request_id":"other",',
        b'"code":"38242",',
    ),
    *(b'"line":1,', b'"units":1,', b'"specversion":"1.0",', b'"data":{},', b'"member_id":"m",', b'"clinical":{},'),
)


def _broken(sent: Sent, rng: Random) -> Sent:
    """One piece of the value, or one header, inserted, repeated or removed."""
    if sent.headers and rng.random() < 0.2:
        return sent._replace(headers=_other_headers(sent.headers, rng))
    value = sent.value
    at = rng.randrange(len(value) + 1)
    end = min(len(value), at + rng.choice((0, 0, 1, 3, 20)))
    piece = rng.choice((*PIECES, value[at:end] * 2, b""))
    return sent._replace(value=value[:at] + piece + value[end:])


def _other_headers(headers: Headers, rng: Random) -> Headers:
    name, value = rng.choice(headers)
    more = rng.choice(
        (
            (name, value),
            (name.upper(), value),
            (name, None),
            (name, b"\xff"),
            (name, b""),
            ("ce_specversion", b"1.0"),
            ("CE_SPECVERSION", b"1.0"),
            ("ce_specversion", b"0.3"),
            ("content-type", b"application/cloudevents+json"),
            ("content-type", b"text/plain"),
            ("ce_type", b"authorization.cancelled.v1"),
            ("ce_id", b"\xc3\xa9"),
            ("ce_datacontenttype", b"text/plain"),
            ("ce_partitionkey", b"k"),
        )
    )
    return (*headers, more) if rng.random() < 0.7 else (more, *headers)
