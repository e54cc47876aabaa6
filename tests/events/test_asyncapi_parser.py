"""AsyncAPI's own parser, in Node, reads the document of our topics and finds no error in it."""

import json
import shutil
import subprocess
from typing import Any

import pytest

from events import asyncapi
from tests.support.places import ROOT

pytestmark = [pytest.mark.node, pytest.mark.interop]

FOLDER = ROOT / "tests" / "events" / "javascript"
PATIENCE_SECONDS = 300
ERROR = 0


def errors(text: str) -> list[dict[str, Any]]:
    """What the parser calls an error, in a document that stands where ours does."""
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules" / "@asyncapi" / "parser").is_dir():
        pytest.skip("Node or its packages are not here; `make test-node` installs the packages")
    ran = subprocess.run(  # noqa: S603 (Node, and the script beside this test)
        [node, FOLDER / "parse_asyncapi.js", asyncapi.PAGE],
        input=text.encode(),
        capture_output=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    return [one for one in json.loads(ran.stdout) if one["severity"] == ERROR]


def test_the_parser_finds_no_error_in_our_document() -> None:
    assert errors(asyncapi.PAGE.read_text("utf-8")) == []


def test_the_parser_finds_an_operation_on_no_channel() -> None:
    tree = asyncapi.document()
    name, operation = next(iter(tree["operations"].items()))
    operation["channel"] = {"$ref": "#/channels/nowhere"}
    assert f"operations.{name}.channel.$ref" in {one["path"] for one in errors(json.dumps(tree))}


def test_the_parser_finds_a_schema_that_is_not_there() -> None:
    text = asyncapi.PAGE.read_text("utf-8").replace('"schemas/', '"nowhere/')
    assert [one for one in errors(text) if one["path"].startswith("components.messages.")]
