"""`dli policy questionnaire`: the FHIR Questionnaire that asks for a policy's facts."""

from typing import Annotated

import typer

from policy_core.history.chain import policy_of
from workers.configuration.command_options import Bootstrap, Policies, Prefix, settings
from workers.console.printing import write_json
from workers.policies.policy_questionnaire import questionnaire_of
from workers.policies.revision_commands import known_chain, known_library, version


def add_commands(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("questionnaire")(questionnaire_)


def questionnaire_(
    number: Annotated[str, typer.Argument(help="The policy's number.")],
    revision: Annotated[
        str | None,
        typer.Option(metavar="DATE|FILE", help="A revision's date, or a document's file; by default, the newest."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The canonical URL, as partners' configurations have it in `questionnaire`.")
    ] = None,
    policies: Policies = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
) -> None:
    """Print the FHIR Questionnaire that asks for a policy's facts; its answers come back in PAS bundles."""
    found = settings(policies=policies, bootstrap=bootstrap, topic_prefix=topic_prefix)
    chain = known_chain(number, found, known_library(found))
    document = (version(chain, revision) if revision else policy_of(list(chain)[-1])).document
    write_json(questionnaire_of(document, number, url))
