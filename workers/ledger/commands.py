"""`dli trace`: one request, from its bytes to the policy text of its answer."""

from typing import Annotated

import typer

from events.decode import is_request_id
from workers.configuration.command_options import Bootstrap, Prefix, settings
from workers.console.exit_codes import CommandError
from workers.console.printing import AsReport, Form, out, write_json
from workers.ledger.trace import trace as trace_of
from workers.ledger.trace_text import trace_text


def add_commands(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(trace)


def trace(
    request_id: Annotated[str, typer.Argument(help="The request's id.")],
    url: Annotated[
        str | None, typer.Option("--url", help="Any worker of the deployment; by default this machine's.")
    ] = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    output: AsReport = Form.TEXT,
) -> None:
    """Trace a request: the request, every answer, its basis, and the position of each event."""
    if not request_id.strip() or not is_request_id(request_id):
        raise CommandError("no request can have that id; an id has 1 to 256 characters, and no control characters")
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix)
    traced = trace_of(request_id, url or f"http://{found.web_host}:{found.web_port}", found)
    if output is Form.JSON:
        write_json(traced.as_json())
    else:
        out.print(trace_text(traced))
