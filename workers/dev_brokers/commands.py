"""`dli kafka …`: a developer's Apache Kafka, up and down."""

from pathlib import Path

import typer

from workers.console.printing import err, out
from workers.dev_brokers.developer_kafka import down, up

KAFKA = Path("var/kafka")

kafka = typer.Typer(no_args_is_help=True, help="Apache Kafka on this machine, for developers.")


def add_commands(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.add_typer(kafka, name="kafka")


@kafka.command("up")
def kafka_up() -> None:
    """Start Apache Kafka for development, with the jars from `make kafka-jars`; print its address."""
    out.print(up(KAFKA))


@kafka.command("down")
def kafka_down() -> None:
    """Stop the Apache Kafka that `dli kafka up` started."""
    err.print("stopped" if down(KAFKA) else "none was running")
