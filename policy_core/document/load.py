"""From a YAML file to a checked document, every mistake with its line.

YAML 1.2 by ruamel.yaml: `no` and `off` are words and a key that stands twice is an error. The text goes through JSON to
the models, so that a value has one type however YAML read it.
"""

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, ScalarEvent

from policy_core.document.check import MOST_PROBLEMS, check
from policy_core.document.models import PolicyDocument, shape
from policy_core.document.problems import PathPart, PolicyDocumentError, Problem, did_you_mean
from policy_core.document.size import (
    DEEPEST,
    LARGEST,
    LONGEST,
    MOST_PARTS,
    TOO_DEEP,
    TOO_LONG,
    TOO_MANY,
    too_large,
)

_MEMBER = re.compile(r"<\w+\.\w+: ('\w+')>")
"""How Python writes a member of an enumeration; an analyst writes its value."""


def load(file: Path) -> PolicyDocument:
    """The document in `file`.

    Raises:
        PolicyDocumentError: Every mistake found, with its line and what to write instead.
    """
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise PolicyDocumentError(str(file), [Problem((), f"cannot be read: {error.strerror}")]) from error
    return parse(raw, str(file))


def parse(raw: bytes, name: str) -> PolicyDocument:
    """The document in the bytes of a YAML (or JSON) text; `name` stands in the errors.

    Raises:
        PolicyDocumentError: As for `load`.
    """
    tree = _tree(raw, name)
    plain = _plain(tree)
    if (found := too_large(plain)) is not None:
        raise PolicyDocumentError(name, [_located(tree, found)])
    try:
        document = PolicyDocument.model_validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        raise PolicyDocumentError(name, list(islice(_problems(error, tree), MOST_PROBLEMS))) from None
    if problems := check(document):
        raise PolicyDocumentError(name, [_located(tree, one) for one in problems])
    return document


def _located(tree: CommentedMap, one: Problem) -> Problem:
    return Problem(one.path, one.message, _line(tree, one.path))


class _PlainComposer(Composer):
    """Takes YAML without its tags, anchors and aliases: what a document says, it says where it stands."""

    parts = 0
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        self.parts += 0 if parent is not None and index is None else 1  # a mapping's key is no part
        if self.parts > MOST_PARTS:
            raise _unwanted(TOO_MANY, event)
        if isinstance(event, ScalarEvent) and len(event.value) > LONGEST:
            raise _unwanted(TOO_LONG, event)
        if self.depth > DEEPEST:
            raise _unwanted(TOO_DEEP, event)
        if isinstance(event, AliasEvent) or event.anchor is not None:
            raise _unwanted("anchors (&) and aliases (*) have no place here; write it out", event)
        if event.tag is not None:
            raise _unwanted("tags (!) have no place here; write the plain value", event)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class _UnwantedError(ComposerError):
    """YAML that is in order, and that no document has."""


def _unwanted(what: str, event: Any) -> _UnwantedError:
    return _UnwantedError(None, None, what, event.start_mark)


def _tree(raw: bytes, name: str) -> CommentedMap:
    if len(raw) > LARGEST:
        raise PolicyDocumentError(name, [Problem((), f"larger than {LARGEST:,} bytes: not a policy document")])
    yaml = YAML(typ="rt", pure=True)
    yaml.Composer = _PlainComposer
    try:
        tree = yaml.load(StringIO(raw.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise PolicyDocumentError(name, [Problem((), f"not UTF-8 at byte {error.start}")]) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        what = str(error.problem or error)
        message = what if isinstance(error, _UnwantedError) else f"not YAML: {what}"
        raise PolicyDocumentError(name, [Problem((), message, line)]) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise PolicyDocumentError(name, [Problem((), f"not YAML: {error}")]) from None
    if not isinstance(tree, CommentedMap):
        raise PolicyDocumentError(name, [Problem((), "not a mapping; a document begins with `format: 1`")])
    return tree


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, datetime | date):
        return node.isoformat()
    # What is left is YAML's own (`<<`, `=`): its text, for the models to refuse.
    return node if isinstance(node, str | int | float | None) else str(node)


def _problems(error: ValidationError, tree: CommentedMap) -> Iterator[Problem]:
    for one in error.errors(include_url=False, include_context=True):
        path = _real_path(tree, one["loc"])
        yield Problem(path, _message(dict(one), tree, path), _line(tree, path))


def _real_path(tree: Any, loc: tuple[PathPart, ...]) -> tuple[PathPart, ...]:
    """`loc` without the tags that pydantic puts in for the member of a union it tried."""
    path: list[PathPart] = []
    node, tagged = tree, None
    for index, part in enumerate(loc):
        if node is not tagged and part == shape(node):
            tagged = node  # a condition's tag is also the name of one of its fields
        elif _has(node, part):
            node = node[part]
            path.append(part)
        elif index == len(loc) - 1 and isinstance(node, dict):
            path.append(part)
    return tuple(path)


def _has(node: Any, part: PathPart) -> bool:
    return part in node if isinstance(node, dict) else isinstance(node, list) and isinstance(part, int)


def _message(error: dict[str, Any], tree: Any, path: tuple[PathPart, ...]) -> str:
    kind, message = error["type"], str(error["msg"])
    if kind == "extra_forbidden":
        return f"unknown field; {did_you_mean(str(path[-1]), _fields())}"
    if kind == "missing":
        return f"missing; write `{path[-1]}: …`"
    if kind == "string_type" and isinstance(error["input"], int | float) and not isinstance(error["input"], bool):
        return f'a number where text belongs; write it in quotes: "{_as_written(tree, path, error["input"])}"'
    if kind == "literal_error":
        message = _MEMBER.sub(r"\1", message)
    return message.removeprefix("Value error, ").replace("Input should be", "should be")


def _as_written(tree: Any, path: tuple[PathPart, ...], value: Any) -> str:
    node = tree
    for part in path[:-1]:
        node = node[part]
    # A float forgets its zeros (99.10 is 99.1); YAML's round trip remembers their number.
    scalar = node[path[-1]] if path else value
    precision = getattr(scalar, "_prec", None)
    width = getattr(scalar, "_width", None)
    return f"{scalar:.{width - precision - 1}f}" if precision and precision > 0 and width else str(value)


@cache
def _fields() -> list[str]:
    known = PolicyDocument.model_json_schema(by_alias=True)
    definitions = [known, *known.get("$defs", {}).values()]
    return sorted({name for one in definitions for name in one.get("properties", {})})


def _line(tree: Any, path: tuple[PathPart, ...]) -> int | None:
    """The line of the deepest part of `path` that the file has."""
    node, line = tree, None
    for part in path:
        try:
            if isinstance(node, CommentedMap):
                line = node.lc.key(part)[0] + 1
            elif isinstance(node, CommentedSeq):
                line = node.lc.item(part)[0] + 1
            node = node[part]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return line
