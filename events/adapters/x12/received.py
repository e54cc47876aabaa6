"""What a 278 becomes: a request, or a refusal with everything that is wrong with it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from pydantic import JsonValue

from events.adapters.canonical import canonical_errors
from events.adapters.partner import Partner
from events.adapters.submission import Refusal, SourceError, Submission
from events.adapters.x12 import reading
from events.adapters.x12.interchange import Segment, TransactionSet
from events.adapters.x12.loops import LOOPS, MOST_SERVICES, Line, Message, element, message_of
from events.adapters.x12.reading import Stated, Wrong
from events.adapters.x12.table import FIELDS, KEPT, KNOWN, LINE_FIELDS, NOTED
from events.dead_letter import Reason
from events.request import MOST_LINES, AuthorizationRequest

REQUEST, ANSWER = "13", "11"
"""BHT02."""
_MOST_NOTES = 100
_MOST_LEVELS = MOST_SERVICES + len(LOOPS)
"""Of an answer. A message with more is refused."""


def unreadable(value: bytes, partner: Partner, message: str) -> Submission:
    """A record in which no transaction set is found."""
    wrong = SourceError(path="", place="ISA", trouble="invalid", message=message)
    return Submission(
        format="x12-278",
        partner=partner.name,
        configuration=_digest(partner),
        message=sha256(value).hexdigest(),
        refused=Refusal(reason="undecodable", errors=(wrong,)),
        echo={"zone": partner.time_zone, "payer": next(iter(partner.payer_ids), "")},
    )


@lru_cache(maxsize=64)
def _digest(partner: Partner) -> str:
    return partner.digest


def submission(found: TransactionSet, partner: Partner, received: int) -> Submission:
    """What a transaction set becomes."""
    message = message_of(found, received)
    begins = message.header.first("BHT") or []
    sender = element(found.isa.split(found.delimiters.element), 6)
    trace = reading.trace(message, sender)
    coded = reading.coded(message)
    if unsupported := _unsupported(found.st, begins):
        read = _Read({}, _refusal("unsupported_type", {"": unsupported}), ())
    elif not found.is_ended:
        cut = Wrong("SE", "missing", "should have its end (SE): lines may be missing")
        read = _Read({}, _refusal("schema_violation", {"service_lines": cut}), ())
    else:
        read = _read(message, partner, trace, [one for one in coded if one.system])
    return Submission(
        format="x12-278",
        partner=partner.name,
        configuration=_digest(partner),
        message=found.digest,
        trace=trace,
        request=read.request if read.refused is None else None,
        follows=read.refused is None and (reading.follows(message) or read.request["certification"] != "initial"),
        cancelled_lines=read.cancelled,
        refused=read.refused,
        echo=_echo(found, message, partner),
        notes=tuple(dict.fromkeys(_notes(message, coded)))[:_MOST_NOTES],
    )


def _unsupported(st: Segment, begins: Segment) -> Wrong | None:
    if element(st, 1) != "278":
        return Wrong("ST01", "invalid", "should be 278")
    if element(begins, 2) != REQUEST:
        return Wrong("BHT02", "invalid", f"should be {REQUEST}, a request")
    return None


class _Read(NamedTuple):
    request: dict[str, JsonValue]
    refused: Refusal | None
    cancelled: tuple[int, ...]


def _read(message: Message, partner: Partner, trace: str | None, diagnoses: list[Stated]) -> _Read:
    wrong: dict[str, Wrong] = dict(reading.too_many(message))
    request: dict[str, Any] = {}
    _take_fields(message, partner, request, wrong)
    if "member.member_id" not in wrong and "member_id" not in request.get("member", {}):
        wrong.pop("member.line_of_business", None)  # which follows from the id
    if trace is None:
        wrong["request_id"] = Wrong("2000E TRN02", "missing", "should have a trace: TRN02 and TRN03, or BHT03")
    if diagnoses:
        request["diagnoses"] = [{"system": one.system, "code": one.code} for one in diagnoses]
    asked, cancelled = _asked(message, request.get("certification") == "cancellation")
    if asked:
        request["service_lines"] = [
            _line(message, line, partner, f"service_lines.{index}", wrong)
            for index, line in enumerate(asked[: MOST_LINES + 1])
        ]
    follow = request.get("certification") == "cancellation"
    places = _Places(diagnoses, asked)
    found = {error.path: error for error in canonical_errors(request, places.of, lines_follow=follow)}
    if not wrong and not found:
        return _Read(request, None, cancelled)
    return _Read({}, _merged(found, wrong), cancelled)


def _take_fields(message: Message, partner: Partner, request: dict[str, Any], wrong: dict[str, Wrong]) -> None:
    for field, (outer, inner) in _PATHS:
        value = field.read(message, partner)
        if isinstance(value, Wrong):
            wrong[field.path] = value
        elif value is not None and inner:
            request.setdefault(outer, {})[inner] = value
        elif value is not None:
            request[outer] = value


_PATHS = [(field, field.path.partition(".")[::2]) for field in FIELDS]


def _asked(message: Message, is_cancellation: bool) -> tuple[Sequence[Line], tuple[int, ...]]:
    """The lines that are asked for, and the numbers of those that are cancelled beside them."""
    lines = message.lines
    if is_cancellation:
        # A cancellation need not repeat its lines, or all that is to say of them: they are then those of its trace.
        return (lines if all(_is_repeated(message, line) for line in lines) else []), ()
    if not lines:
        return ([reading.event_line(message)] if message.event.first("UM") else []), ()
    cancelled = tuple([line.number for line in lines if line.is_cancelled])
    return [line for line in lines if not line.is_cancelled], cancelled


def _is_repeated(message: Message, line: Line) -> bool:
    return reading.service(line) is not None and reading.service_date(message, line) is not None


def _line(message: Message, line: Line, partner: Partner, path: str, wrong: dict[str, Wrong]) -> dict[str, Any]:
    read: dict[str, Any] = {"line": line.number}
    for field in LINE_FIELDS:
        value = field.read(message, line, partner)
        if isinstance(value, Wrong):
            wrong[f"{path}.{field.path}"] = value
        elif field.path == "code":
            read["system"], read["code"] = value
        elif value is not None:
            read[field.path] = value
    return read


def _merged(found: Mapping[str, SourceError], wrong: Mapping[str, Wrong]) -> Refusal:
    """Everything that is wrong, once for each field."""
    ours = {path: _error(path, one) for path, one in wrong.items()}
    theirs = {
        path: error.model_copy(update={"trouble": _trouble(error)})
        for path, error in found.items()
        if not _follows_from(path, ours)
    }
    both = sorted((theirs | ours).values(), key=lambda error: _order(error.path))
    return Refusal(reason="schema_violation", errors=tuple(both))


def _follows_from(path: str, ours: Mapping[str, SourceError]) -> bool:
    # Where the code is wrong its system is unknown, and where the member is, so is their line of business.
    if path == "member.line_of_business":
        return True
    return path.endswith(".system") and f"{path.removesuffix('system')}code" in ours


_TROUBLES = {field.path: field.trouble for field in FIELDS} | {
    f"service_lines.N.{field.path}": field.trouble for field in LINE_FIELDS
}


def _trouble(error: SourceError) -> Any:
    general = _general(error.path)
    if error.trouble == "missing" and general != "provider.npi":
        return "missing"
    return _TROUBLES.get(general, error.trouble)


def _refusal(reason: Reason, wrong: Mapping[str, Wrong]) -> Refusal:
    return Refusal(reason=reason, errors=tuple(_error(path, one) for path, one in wrong.items()))


def _error(path: str, wrong: Wrong) -> SourceError:
    return SourceError(path=path, place=wrong.place, trouble=wrong.trouble, message=wrong.message)


_INDEX = re.compile(r"(?<=\.)\d+(?=\.|$)")


def _general(path: str) -> str:
    return _INDEX.sub("N", path)


_NAMES = {
    name: index
    # Of a line, the date before the units: as they stand in the message.
    for index, name in enumerate(
        (*AuthorizationRequest.model_fields, "line", "system", "code", "service_date", "units")
    )
}


def _order(path: str) -> tuple[int, ...]:
    """The canonical order of a path."""
    parts = path.split(".")
    return tuple(int(part) if part.isdigit() else _NAMES.get(part, 0) for part in parts)


class _Places:
    """Where canonical fields stand in a message."""

    def __init__(self, diagnoses: Sequence[Stated], asked: Sequence[Line]) -> None:
        self._diagnoses, self._asked = diagnoses, asked

    def of(self, path: str) -> str:
        """The place of a canonical path."""
        outer, _, inner = path.partition(".")
        index, _, name = inner.partition(".")
        if outer == "diagnoses" and index.isdigit():
            stated = self._diagnoses
            return stated[int(index)].place if int(index) < len(stated) else "2000E HI"
        if outer == "service_lines" and index.isdigit() and int(index) < len(self._asked):
            return self._in_line(self._asked[int(index)], name)
        return _PLACES.get(path) or _PLACES.get(outer, "")

    def _in_line(self, line: Line, name: str) -> str:
        segment = reading.service(line)
        which = segment[0] if segment else "SV1"
        within = {
            "code": f"{which}{reading.SERVICES[which]:02}-2",
            "system": f"{which}{reading.SERVICES[which]:02}-1",
            "units": f"{which}{reading.QUANTITIES[which]:02}",
            "service_date": "DTP03",
        }
        return f"{line.loop} {within.get(name, 'HL')}"


_PLACES = {field.path: field.place for field in FIELDS} | {
    "request_id": "2000E TRN02",
    "diagnoses": "2000E HI",
    "member": "2010C NM1",
    "provider": "2010B NM1",
    "service_lines": "2000F HL",
}


def _echo(found: TransactionSet, message: Message, partner: Partner) -> dict[str, JsonValue]:
    """What the answer repeats, in the sender's own delimiters."""
    begins = message.header.first("BHT") or []
    separator, terminator = found.delimiters.element, found.delimiters.segment
    modifiers: dict[str, JsonValue] = {}
    for line in _all_lines(message):
        if stated := reading.modifiers(message, line):
            modifiers[str(line.number)] = [*stated]
    is_answer: dict[str, JsonValue] = {"is_answer": True} if element(begins, 2) == ANSWER else {}
    return {
        **is_answer,
        "zone": partner.time_zone,
        "charset": found.charset,
        "delimiters": list(found.delimiters),
        "isa": found.isa,
        "gs": found.gs,
        "bht": element(begins, 3),
        "levels": terminator.join(_kept(message, separator)),
        "trn": list(reading.traces(message)),
        "modifiers": modifiers,
    }


def _all_lines(message: Message) -> Iterable[Line]:
    return message.lines or (reading.event_line(message),)


def _kept(message: Message, separator: str) -> list[str]:
    found: list[str] = []
    for level in message.levels[:_MOST_LEVELS]:
        kept = KEPT.get(LOOPS.get(level.code, ""), _ONLY_HL)
        found += [separator.join(segment) for segment in level.segments if segment[0] in kept]
    return found


_ONLY_HL = frozenset({"HL"})


def _notes(message: Message, coded: Iterable[Stated]) -> Iterator[str]:
    """What was left out, by its place."""
    for level in message.levels:
        letter = LOOPS.get(level.code, "")
        known = KNOWN.get(letter, _ONLY_HL)
        for name in level.named():
            if name in NOTED:
                yield f"2000{letter} {name}: kept, never read as a fact"
            elif name not in known:
                yield f"2000{letter}: a segment that this loop does not have was left out"
    for one in coded:
        if not one.system:
            yield f"{one.place}: no diagnosis of ICD-10-CM or ICD-9-CM; left out"
