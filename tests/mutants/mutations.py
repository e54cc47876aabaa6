"""Small faults in a module's source, one at a time: what a test that holds the module must notice."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

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
    what: str
    """What stands there, and what stands there instead."""
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its text.

    Nothing is changed in annotations, docstrings, imports and messages: no test should hold these to the letter.
    """
    for number in range(len(list(_places(ast.parse(source))))):
        tree = ast.parse(source)
        node, change = list(_places(tree))[number]
        before = ast.unparse(node)
        change()
        after = ast.unparse(node)
        if before != after:
            yield Mutant(getattr(node, "lineno", 0), f"{_short(before)} → {_short(after)}", ast.unparse(tree))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."


Place = tuple[ast.AST, Callable[[], None]]


def _places(tree: ast.AST) -> Iterator[Place]:
    for node in _code(tree):
        yield from _of(node)


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes that run, parents first."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "type_params", "decorator_list"}:
            continue
        if isinstance(node, ast.Raise):
            continue
        children = value if isinstance(value, list) else [value]
        for child in children:
            if isinstance(child, ast.AST) and not isinstance(child, ast.Import | ast.ImportFrom | ast.JoinedStr):
                yield from _code(child)


def _of(node: ast.AST) -> Iterator[Place]:  # noqa: C901 (a case for each kind of node)
    match node:
        case ast.Compare(ops=[comparison]) if type(comparison) in _COMPARISONS:
            yield node, lambda: setattr(node, "ops", [_COMPARISONS[type(comparison)]()])
        case ast.BoolOp(op=joined):
            yield node, lambda: setattr(node, "op", ast.Or() if isinstance(joined, ast.And) else ast.And())
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC and not isinstance(node.left, ast.Constant | ast.JoinedStr):
            yield node, lambda: setattr(node, "op", _ARITHMETIC[type(op)]())
        case ast.UnaryOp(op=ast.Not()):
            yield node, lambda: setattr(node, "op", ast.UAdd())
        case ast.Call(func=ast.Name(id=name) as function) if name in _CALLS:
            yield node, lambda: setattr(function, "id", _CALLS[name])
        case ast.Constant(value=bool(truth)):
            yield node, lambda: setattr(node, "value", not truth)
        case ast.Constant(value=int(number)):
            yield node, lambda: setattr(node, "value", number + 1)
        case ast.If() | ast.IfExp():
            yield node, lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))
        case ast.Return(value=ast.expr()) if not _is_none(node.value):
            yield node, lambda: setattr(node, "value", ast.Constant(None))
        case ast.Continue():
            yield node, lambda: setattr(node, "__class__", ast.Break)
        case _:
            return


def _is_none(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
