"""Small faults in a module's source, one at a time: what a test that holds the module must notice."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
}
_CALLS = {"min": "max", "max": "min", "sorted": "list", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """A module with one fault."""

    line: int
    scope: str
    """The function or class that has it, such as `Follower.follow`; empty for the module itself."""
    function: str
    """The outermost function that has it, by its qualified name; empty where it runs as the module is imported."""
    what: str
    """The code without the fault, and with it."""
    tree: ast.Module = field(compare=False, repr=False)

    @cached_property
    def source(self) -> str:
        """The module's text with the fault."""
        return ast.unparse(self.tree)

    @property
    def name(self) -> str:
        """What names it after other lines have moved."""
        return f"{self.scope}: {self.what}" if self.scope else self.what


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its text.

    Nothing is changed in annotations, docstrings, imports and messages: no test should hold these to the letter.
    """
    for number in range(len(list(_places(ast.parse(source))))):
        tree = ast.parse(source)
        place, change = next(islice(_places(tree), number, None))
        nodes = (place.node, place.parent)
        before = [ast.unparse(node) for node in nodes]
        change()
        after = [ast.unparse(node) for node in nodes]
        if before[0] != after[0]:
            # A number by itself says little: where the text is short enough, the code around it is shown.
            around = isinstance(place.node, ast.Constant) and _short(before[1]) != _short(after[1])
            what = f"{_short(before[around])} → {_short(after[around])}"
            yield Mutant(getattr(place.node, "lineno", 0), place.scope, place.function, what, tree)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."


@dataclass(frozen=True)
class _Place:
    node: ast.AST
    parent: ast.AST
    scope: str
    function: str


def _places(tree: ast.AST) -> Iterator[tuple[_Place, Callable[[], None]]]:
    for place in _code(_Place(tree, tree, "", "")):
        for change in _changes(place.node):
            yield place, change


def _code(place: _Place) -> Iterator[_Place]:
    """All nodes that run, parents first."""
    yield place
    node = place.node
    if isinstance(node, ast.Raise):
        return
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "type_params", "decorator_list"}:
            continue
        scope, function = _inside(place) if name == "body" else (place.scope, place.function)
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.Import | ast.ImportFrom | ast.JoinedStr):
                yield from _code(_Place(child, node, scope, function))


def _inside(place: _Place) -> tuple[str, str]:
    """The scope and the outermost function of what stands in a node's body."""
    node = place.node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return place.scope, place.function
    scope = f"{place.scope}.{node.name}" if place.scope else node.name
    return scope, place.function or ("" if isinstance(node, ast.ClassDef) else scope)


def _changes(node: ast.AST) -> Iterator[Callable[[], None]]:  # noqa: C901 (a case for each kind of node)
    match node:
        case ast.Compare(ops=[comparison]) if type(comparison) in _COMPARISONS:
            yield lambda: setattr(node, "ops", [_COMPARISONS[type(comparison)]()])
        case ast.BoolOp(op=joined):
            yield lambda: setattr(node, "op", ast.Or() if isinstance(joined, ast.And) else ast.And())
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC and not isinstance(node.left, ast.Constant | ast.JoinedStr):
            yield lambda: setattr(node, "op", _ARITHMETIC[type(op)]())
        case ast.UnaryOp(op=ast.Not()):
            yield lambda: setattr(node, "op", ast.UAdd())
        case ast.Call(func=ast.Name(id=name) as function) if name in _CALLS:
            yield lambda: setattr(function, "id", _CALLS[name])
        case ast.Constant(value=bool(truth)):
            yield lambda: setattr(node, "value", not truth)
        case ast.Constant(value=int(number)):
            yield lambda: setattr(node, "value", number + 1)
        case ast.If() | ast.IfExp():
            yield lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))
        case ast.Return(value=ast.expr()) if not _is_none(node.value):
            yield lambda: setattr(node, "value", ast.Constant(None))
        case ast.Continue():
            yield lambda: setattr(node, "__class__", ast.Break)
        case _:
            return


def _is_none(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
