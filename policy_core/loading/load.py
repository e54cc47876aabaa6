"""Load a checked document from a YAML file; each mistake has its line.

YAML 1.2 by ruamel.yaml: `no` and `off` are strings, and a duplicate key is an error. The models validate JSON made from
the YAML, so that value types do not depend on YAML.
"""

import json
import re
import stat
from collections.abc import Iterator
from functools import cache
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionStartEvent, ScalarEvent
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.resolver import BaseResolver

from policy_core.document.conditions import shape
from policy_core.document.models import PolicyDocument
from policy_core.document.problems import PathPart, PolicyDocumentError, Problem
from policy_core.loading.check import MOST_PROBLEMS, check
from policy_core.loading.document_warnings import lacks
from policy_core.loading.size_limit import (
    DEEPEST,
    LARGEST,
    LONGEST,
    MOST_PARTS,
    TOO_DEEP,
    TOO_LONG,
    TOO_MANY,
    too_large,
)
from policy_core.loading.yaml_mistakes import Written, sentence, syntax

_NUMBER = re.compile(r"[-+]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][-+]?\d{1,3})?")
"""What is read as a number; YAML's other numbers (`0x1F`, `1_000`, `.inf`) are read as text."""


class Read(NamedTuple):
    """A valid document as it is written, and its warnings, each with its line."""

    document: PolicyDocument
    warnings: tuple[Problem, ...]
    tree: "Tree"


def load(file: Path) -> PolicyDocument:
    """The document in `file`.

    Raises:
        PolicyDocumentError: All mistakes found, each with its line and what to write instead.
    """
    return parse(raw_of(file, "a policy document"), str(file))


def load_with_warnings(file: Path) -> Read:
    """The document in `file`, with its warnings.

    Raises:
        PolicyDocumentError: As for `load`.
    """
    return read(raw_of(file, "a policy document"), str(file))


def raw_of(file: Path, what: str) -> bytes:
    """The bytes of a file, up to one more than a document may have.

    Args:
        file: Any path, possibly not a regular file.
        what: What the file should be, for the message.

    Raises:
        PolicyDocumentError: It cannot be read, or is not a regular file.
    """
    try:
        if (kind := _kind(file.stat().st_mode)) is not None:
            raise PolicyDocumentError(
                str(file), [Problem((), f"is a {kind}; {what} is a regular file, or a link to one")]
            )
        with file.open("rb") as stream:
            return stream.read(LARGEST + 1)
    except OSError as error:
        raise PolicyDocumentError(str(file), [Problem((), f"cannot be read: {error.strerror}")]) from error


def _kind(mode: int) -> str | None:
    """The kind of an irregular file, reading which might block for ever; None for a regular file."""
    if stat.S_ISREG(mode):
        return None
    return {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}.get(stat.S_IFMT(mode), "device")


def parse(raw: bytes, name: str) -> PolicyDocument:
    """The document in a YAML or JSON text; errors show `name`.

    Raises:
        PolicyDocumentError: As for `load`.
    """
    return _checked(raw, name)[0]


def read(raw: bytes, name: str) -> Read:
    """As `parse`, with warnings, which take as long again.

    Raises:
        PolicyDocumentError: As for `load`.
    """
    document, tree = _checked(raw, name)
    return Read(document, tuple(located(tree, problem) for problem in lacks(document)), tree)


def _checked(raw: bytes, name: str) -> tuple[PolicyDocument, "Tree"]:
    tree, plain = mapping(raw, name, "a document begins with `format: 1`")
    try:
        document = PolicyDocument.model_validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        raise PolicyDocumentError(name, problems_of(error, tree)) from None
    if problems := check(document):
        raise PolicyDocumentError(name, [located(tree, problem) for problem in problems])
    return document, tree


class Tree(NamedTuple):
    """A document's YAML, and the text of each plain scalar by line and column."""

    root: CommentedMap
    written: dict[tuple[int, int], str]

    def line(self, path: tuple[PathPart, ...]) -> int | None:
        """The line of the deepest part of `path` in the file."""
        node, line = self.root, None
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

    def text(self, path: tuple[PathPart, ...], value: Any) -> str:
        """The text at `path` as written: YAML reads 099.10 as 99.1."""
        node: Any = self.root
        try:
            for part in path[:-1]:
                node = node[part]
            place = node.lc.value(path[-1]) if isinstance(node, CommentedMap) else node.lc.item(path[-1])
            return self.written[tuple(place)]
        except (KeyError, IndexError, TypeError, AttributeError):
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def mapping(raw: bytes, name: str, begins: str) -> tuple[Tree, Any]:
    """The mapping in a YAML or JSON text, with its lines and as plain JSON values.

    Raises:
        PolicyDocumentError: It is not a mapping, or too large for a document; `begins` says how one begins.
    """
    tree = _tree(raw, name, begins)
    plain = _plain(tree.root)
    if (found := too_large(plain)) is not None:
        raise PolicyDocumentError(name, [located(tree, found)])
    return tree, plain


def problems_of(error: ValidationError, tree: Tree) -> list[Problem]:
    """The first mistakes found by a model, each with its line."""
    return list(islice(_problems(error, tree), MOST_PROBLEMS))


def located(tree: Tree, problem: Problem) -> Problem:
    """A mistake with its line."""
    return Problem(problem.path, problem.message, tree.line(problem.path))


class _PlainComposer(Composer):
    """Refuses tags, anchors and aliases: a document must be readable from top to bottom."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.parts = 0
        self.written: dict[tuple[int, int], str] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        is_key = parent is not None and index is None
        self.parts += 0 if is_key else 1
        if self.parts > MOST_PARTS:
            raise _unwanted(TOO_MANY, event)
        if isinstance(event, ScalarEvent) and len(event.value) > LONGEST:
            raise _unwanted(TOO_LONG, event)
        if self.depth > DEEPEST:
            raise _unwanted(TOO_DEEP, event)
        if is_key and isinstance(event, CollectionStartEvent):
            raise _unwanted("a list or a mapping is no name; write a word before the colon", event)
        if isinstance(event, AliasEvent) or event.anchor is not None:
            raise _unwanted(
                "anchors (&) and aliases (*) have no place here; write it out, or put the text in quotes", event
            )
        if event.tag is not None:
            raise _unwanted("tags (!) have no place here; write the plain value, or put the text in quotes", event)
        return super().compose_node(parent, index)

    def compose_scalar_node(self, anchor: Any) -> Any:
        """Keep dates as text for the models, because YAML's own errors have no line."""
        node = super().compose_scalar_node(anchor)
        if node.style is None:
            self.written[node.start_mark.line, node.start_mark.column] = node.value
            kind = str(node.tag).rpartition(":")[2]
            if kind == "timestamp" or (kind in ("int", "float") and not _NUMBER.fullmatch(node.value)):
                return _text(node)
        return node


class _UnwantedError(ComposerError):
    """Valid YAML that documents may not use."""


def _text(node: ScalarNode) -> ScalarNode:
    """The node as a string."""
    tag = BaseResolver.DEFAULT_SCALAR_TAG
    return ScalarNode(tag, node.value, node.start_mark, node.end_mark, style=node.style, comment=node.comment)


def _unwanted(what: str, event: Any) -> _UnwantedError:
    return _UnwantedError(None, None, what, event.start_mark)


def _tree(raw: bytes, name: str, begins: str) -> Tree:
    if len(raw) > LARGEST:
        raise PolicyDocumentError(name, [Problem((), f"larger than {LARGEST:,} bytes: not a policy document")])
    yaml = YAML(typ="rt", pure=True)
    yaml.Composer = _PlainComposer
    try:
        tree = yaml.load(StringIO(raw.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise PolicyDocumentError(name, [Problem((), f"not UTF-8 at byte {error.start}")]) from None
    except MarkedYAMLError as error:
        raise PolicyDocumentError(name, [_syntax(error)]) from None
    except ReaderError as error:
        line = raw.decode("utf-8-sig").count("\n", 0, error.position) + 1
        raise PolicyDocumentError(name, [Problem((), syntax(error.reason).message, line)]) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise PolicyDocumentError(name, [Problem((), syntax(str(error)).message)]) from None
    if not isinstance(tree, CommentedMap):
        raise PolicyDocumentError(name, [Problem((), f"not a mapping; {begins}")])
    return Tree(tree, yaml.composer.written)


def _syntax(error: MarkedYAMLError) -> Problem:
    what = str(error.problem or error)
    found = syntax(what)
    marks = (error.problem_mark, error.context_mark)
    mark = (marks[1] or marks[0]) if found.at_beginning else (marks[0] or marks[1])
    return Problem((), what if isinstance(error, _UnwantedError) else found.message, mark.line + 1 if mark else None)


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    # The rest is specific to YAML (`<<`, `=`): as text, for the models to refuse.
    return node if isinstance(node, str | int | float | None) else str(node)


def _problems(error: ValidationError, tree: Tree) -> Iterator[Problem]:
    for found in error.errors(include_url=False, include_context=True):
        if found["type"] == "too_short" and found["input"]:
            continue  # reported although every item has a mistake of its own
        path = _real_path(tree.root, found["loc"])
        yield Problem(path, _message(dict(found), tree, path), tree.line(path))


def _message(error: dict[str, Any], tree: Tree, path: tuple[PathPart, ...]) -> str:
    value = error["input"]
    field = next((part for part in reversed(path) if isinstance(part, str)), "")
    wrong = Written(field, value, tree.text(path, value))
    return sentence(error["type"], error["msg"], error.get("ctx", {}), wrong, _fields())


def _real_path(tree: Any, loc: tuple[PathPart, ...]) -> tuple[PathPart, ...]:
    """`loc` without the tags that pydantic inserts for union members."""
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


@cache
def _fields() -> list[str]:
    known = PolicyDocument.model_json_schema(by_alias=True)
    definitions = [known, *known.get("$defs", {}).values()]
    return sorted({name for definition in definitions for name in definition.get("properties", {})})
