"""A decision table in the languages of the peers: zen-engine's JSON, OPA's Rego, and DMN."""

import json
from collections.abc import Iterator
from xml.etree.ElementTree import Element, indent, tostring

from tests.benchmarks.peers.decision_table import Column, DecisionTable, Row, Value

OUTPUTS = ("determination", "reason", "rule")
DMN = "https://www.omg.org/spec/DMN/20191111/MODEL/"


def _outputs(row: Row) -> tuple[str, ...]:
    """As literals, which all of the languages write as JSON does."""
    return tuple(json.dumps(output) for output in (row.determination, row.reason, row.rule))


def _literals(values: frozenset[Value]) -> list[str]:
    return sorted(map(json.dumps, values))


# --- zen-engine ----------------------------------------------------------------------------------------------------


def zen(table: DecisionTable) -> str:
    """A graph of input, table and output."""
    inputs = [{"id": f"in{n}", "name": f"in{n}", "field": _zen_field(one)} for n, one in enumerate(table.columns)]
    content = {
        "hitPolicy": "first",
        "inputs": inputs,
        "outputs": [{"id": name, "name": name, "field": name} for name in OUTPUTS],
        "rules": [
            {"_id": f"row{n}"}
            | {f"in{at}": ", ".join(_literals(row.tests.get(one, frozenset()))) for at, one in enumerate(table.columns)}
            | dict(zip(OUTPUTS, _outputs(row), strict=True))
            for n, row in enumerate(table.rows)
        ],
    }
    nodes = [("asked", "inputNode", {}), ("table", "decisionTableNode", content), ("answer", "outputNode", {})]
    edges = [("asked", "table"), ("table", "answer")]
    graph = {
        "nodes": [
            {"id": name, "name": name, "type": kind, "position": {"x": 300 * n, "y": 0}, "content": inside}
            for n, (name, kind, inside) in enumerate(nodes)
        ],
        "edges": [
            {"id": f"{source}-{target}", "type": "edge", "sourceId": source, "targetId": target}
            for source, target in edges
        ],
    }
    return json.dumps(graph, indent=2)


def _zen_field(column: Column) -> str:
    return column.path if column.element is None else f"contains({column.path}, {json.dumps(column.element)})"


# --- OPA -----------------------------------------------------------------------------------------------------------


def rego(table: DecisionTable) -> str:
    """A chain of `else`, one for each row."""
    return "package policy\n\nanswer := " + " else := ".join(map(_rego_row, table.rows)) + "\n"


def _rego_row(row: Row) -> str:
    tests = "".join(f"\t{test}\n" for test in _rego_tests(row))
    return f"[{', '.join(_outputs(row))}]" + (f" if {{\n{tests}}}" if tests else "")


def _rego_tests(row: Row) -> Iterator[str]:
    for column, values in row.tests.items():
        if column.element is not None:
            negated = "" if True in values else "not "
            yield f"{negated}{json.dumps(column.element)} in input.{column.path}"
        elif len(values) == 1:
            yield f"input.{column.path} == {_literals(values)[0]}"
        else:
            yield f"input.{column.path} in {{{', '.join(_literals(values))}}}"


# --- DMN -----------------------------------------------------------------------------------------------------------


def dmn(table: DecisionTable) -> str:
    """A model whose decision `answer` is the table, with an input for the first name of every path."""
    names = list(dict.fromkeys(column.path.split(".")[0] for column in table.columns))
    model = _element(
        "definitions",
        *(_element("inputData", _element("variable", name=name), id=name, name=name) for name in names),
        _element(
            "decision",
            _element("variable", name="answer"),
            *(_element("informationRequirement", _element("requiredInput", href=f"#{name}")) for name in names),
            _element(
                "decisionTable",
                *(_element("input", _expression("inputExpression", _feel(column))) for column in table.columns),
                *(_element("output", name=name, typeRef="string") for name in OUTPUTS),
                *(_dmn_row(table, row) for row in table.rows),
                hitPolicy="FIRST",
            ),
            id="answer",
            name="answer",
        ),
        xmlns=DMN,
        name="policy",
        namespace="policy",
    )
    indent(model)
    return tostring(model, "unicode", xml_declaration=True)


def _dmn_row(table: DecisionTable, row: Row) -> Element:
    entries = [", ".join(_literals(row.tests[one])) if one in row.tests else "-" for one in table.columns]
    return _element(
        "rule",
        *(_expression("inputEntry", entry) for entry in entries),
        *(_expression("outputEntry", output) for output in _outputs(row)),
    )


def _feel(column: Column) -> str:
    return column.path if column.element is None else f"list contains({column.path}, {json.dumps(column.element)})"


def _expression(tag: str, text: str) -> Element:
    expression = Element("text")
    expression.text = text
    return _element(tag, expression)


def _element(tag: str, *children: Element, **attributes: str) -> Element:
    element = Element(tag, attributes)
    element.extend(children)
    return element
