"""Grafana's dashboards: what every panel asks, in one place.

Ask about rates over `$__rate_interval`, name no deployment, and show the broker's word beside the workers' own.
"""

from collections.abc import Sequence
from itertools import count
from string import ascii_uppercase
from typing import Any, NamedTuple

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueColorMode, BigValueGraphMode, LegendDisplayMode
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef, Threshold, ThresholdsMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHT = 8
WHOLE = 24
"""Grafana's grid is this wide."""


class Asked(NamedTuple):
    """One expression, and what its lines are called."""

    expression: str
    legend: str = ""


class Number(NamedTuple):
    """One number, red from a threshold on; `good_above` turns that around."""

    title: str
    expression: str
    says: str
    red_from: float | None = None
    good_above: bool = False
    unit: str = "short"


class Lines(NamedTuple):
    """Lines over time."""

    title: str
    asked: Sequence[Asked]
    says: str
    unit: str = "short"
    width: int = 12


class Rows(NamedTuple):
    """A table of the labels of what is there now."""

    title: str
    expression: str
    says: str
    width: int = 12


Panel = Number | Lines | Rows


class Section(NamedTuple):
    """A heading and its panels."""

    title: str
    panels: Sequence[Panel]


def quantiles(metric: str) -> list[Asked]:
    """The median, the slow ones and the slowest of a histogram, over all workers."""
    return [
        Asked(f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket[$__rate_interval])))", name)
        for share, name in ((0.5, "half within"), (0.95, "95% within"), (0.99, "99% within"))
    ]


def rate(metric: str, by: str = "") -> str:
    """The rate of a counter per second, over all workers."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}[$__rate_interval]))"


CERTIFIED = f'sum (rate(dli_decisions_total{{action="A1"}}[$__rate_interval])) / {rate("dli_decisions_total")}'

OPERATIONS = (
    Section(
        "Is all well?",
        (
            Number(
                "Accounts balance",
                "min(dli_accounts_balanced) or vector(0)",
                "1 where requests consumed are decisions, duplicates and dead letters together, in every partition, "
                "and none was lost.",
                1,
                good_above=True,
            ),
            Number(
                "Oldest waiting request",
                "max(kafka_consumergroup_group_max_lag_seconds)",
                "As reported by the brokers, independent of workers.",
                60,
                unit="s",
            ),
            Number("Members of the group", "max(kafka_consumergroup_members)", "Workers known to Kafka.", 1, True),
            Number("Workers ready", "sum(dli_ready)", "Among the workers that respond.", 1, True),
            Number("Overdue", "sum(dli_overdue_requests)", "Open cases whose due date has passed.", 1),
            Number(
                "Lag is measured",
                "max(dli_exporter_up) or vector(0)",
                "1 when the exporter gets answers from Kafka; at 0 nothing here tells of a stalled worker.",
                1,
                True,
            ),
        ),
    ),
    Section(
        "Work",
        (
            Lines(
                "In and out",
                (
                    Asked(rate("dli_requests_total"), "requests"),
                    Asked(rate("dli_decisions_total"), "decisions"),
                    Asked(rate("dli_duplicates_total"), "duplicates"),
                    Asked(rate("dli_dead_letters_total"), "dead letters"),
                    Asked(rate("dli_requests_lost_total"), "lost unread"),
                ),
                "Requests processed per second, by outcome.",
                "reqps",
            ),
            Lines(
                "Waiting requests",
                (Asked("sum by (topic, partition) (kafka_consumergroup_lag)", "{{topic}}/{{partition}}"),),
                "By partition, as reported by the brokers.",
            ),
            Lines(
                "Age of the oldest",
                (
                    Asked(
                        "max by (topic, partition) (kafka_consumergroup_group_lag_seconds)", "{{topic}}/{{partition}}"
                    ),
                ),
                "By partition, as reported by the brokers.",
                "s",
            ),
            Lines(
                "Accounts",
                (
                    Asked("sum by (outcome) (dli_accounts_records)", "{{outcome}}"),
                    Asked("sum(abs(dli_accounts_difference))", "difference"),
                ),
                "Counted in the transactions that answered them; consumed is the sum of all others except lost.",
            ),
        ),
    ),
    Section(
        "Speed",
        (
            Lines(
                "From publication to outcome",
                quantiles("dli_end_to_end_seconds"),
                "From a request's timestamp until its outcome is committed.",
                "s",
            ),
            Lines(
                "Deciding one request",
                quantiles("dli_evaluation_seconds"),
                "From its bytes to the answer's bytes.",
                "s",
            ),
            Lines(
                "Delivering a batch",
                quantiles("dli_delivery_seconds"),
                "Until Kafka has the batch and its offset.",
                "s",
            ),
            Lines("Rebalancing", (*quantiles("dli_rebalance_seconds"),), "Until a worker continues.", "s"),
        ),
    ),
    Section(
        "Review",
        (
            Lines(
                "Verdicts",
                (Asked(rate("dli_reviews_total", "outcome"), "{{outcome}}"),),
                "Verdicts and extensions, by outcome.",
                "cps",
            ),
            Lines(
                "Cases",
                (Asked(rate("dli_cases_opened_total"), "opened"), Asked(rate("dli_cases_closed_total"), "closed")),
                "One for each decided request; closed when nobody has to act any more.",
                "cps",
            ),
            Lines(
                "Deadlines",
                (Asked(rate("dli_deadlines_total", "kind"), "{{kind}}"),),
                "Announced, by kind.",
                "cps",
            ),
        ),
    ),
    Section(
        "Trouble",
        (
            Lines(
                "Dead letters", (Asked(rate("dli_dead_letters_total", "reason"), "{{reason}}"),), "By reason.", "cps"
            ),
            Lines(
                "Errors",
                (Asked(rate("dli_errors_total", "stage, error"), "{{stage}}: {{error}}"),),
                "evaluate is a defect of this software; the others start a partition again.",
                "cps",
            ),
            Lines(
                "Unreadable or oversized",
                (
                    Asked(rate("dli_unreadable_total"), "not readable as records"),
                    Asked(rate("dli_oversized_total", "topic"), "too large for {{topic}}"),
                    Asked("sum by (what) (dli_exporter_unread)", "the exporter cannot read: {{what}}"),
                ),
                "The logs have the positions. Affected requests are dead letters.",
            ),
            Lines(
                "Commits",
                (
                    Asked(rate("dli_commits_total"), "committed"),
                    Asked(rate("dli_commit_failures_total"), "failed"),
                ),
                "Batches.",
                "cps",
            ),
            Lines(
                "Partitions",
                (Asked("sum by (state) (dli_feed_partitions)", "{{state}}"),),
                "As reported by the workers.",
            ),
            Lines(
                "Rebalances",
                (Asked("sum by (instance) (increase(dli_rebalances_total[$__rate_interval]))", "{{instance}}"),),
                "Rebalances of partitions.",
            ),
            Lines(
                "Not ready",
                (Asked("sum by (check) (1 - dli_ready_check)", "{{check}}"),),
                "Workers with a failing check of /ready.",
            ),
            Lines(
                "Recovering tables",
                (
                    Asked(
                        f"histogram_quantile(0.95, {rate('dli_recovery_seconds_bucket', 'le, table')})",
                        "{{table}}",
                    ),
                ),
                "95% within.",
                "s",
            ),
            Lines(
                "Open transactions",
                (
                    Asked("kafka_topic_partition_open_transaction_seconds > 0", "{{topic}}/{{partition}}"),
                    Asked(
                        "sum(kafka_topic_partition_current_offset - kafka_topic_partition_last_stable_offset)",
                        "offsets nobody can read",
                    ),
                ),
                "For how many seconds one has been observed, and the records waiting behind all of them.",
            ),
            Lines(
                "Stored on topics",
                (
                    Asked(
                        "sum by (topic) (kafka_topic_partition_current_offset - kafka_topic_partition_oldest_offset)",
                        "{{topic}}",
                    ),
                ),
                "Offsets between the oldest record and the end.",
            ),
        ),
    ),
    Section(
        "What runs",
        (
            Rows(
                "Policies in force",
                "count by (policy, revision, sha256) (dli_policy_in_force_info)",
                "Workers by document; a policy has several digests only during an upgrade.",
            ),
            Rows(
                "Shadow drafts",
                "count by (policy, sha256) (dli_shadow_policy_info)",
                "Workers by shadow draft; none if no worker has one.",
            ),
            Rows("Builds", "count by (version, python, faust, aiokafka) (dli_build_info)", "Workers by version."),
        ),
    ),
    Section(
        "Integration",
        (
            Lines(
                "Messages",
                (Asked(rate("dli_messages_total", "format, outcome"), "{{format}} {{outcome}}"),),
                "Of platforms in their own formats. Refused ones are answered, and are dead letters too.",
                "cps",
            ),
            Lines(
                "Submissions",
                (Asked(rate("dli_submissions_total", "outcome"), "{{outcome}}"),),
                "What became of messages: requested; again, a repeat or an inquiry; not known; refused.",
                "cps",
            ),
            Lines(
                "Answers to platforms",
                (Asked(rate("dli_platform_answers_total", "outcome"), "{{outcome}}"),),
                "Undelivered ones are dead letters in place of an answer.",
                "cps",
            ),
            Lines(
                "Account of messages",
                (Asked("dli_platform_account_messages", "{{outcome}}"),),
                "Messages are requested, again, not known, refused or on their way, or they are missing.",
            ),
        ),
    ),
    Section(
        "Gateway",
        (
            Lines(
                "Requests over HTTP",
                (Asked(rate("dli_gateway_requests_total", "operation, status"), "{{operation}} {{status}}"),),
                "By operation and status: 429 too many wait, 503 without Kafka, 504 no answer in time.",
                "reqps",
            ),
            Lines("Time to answer", quantiles("dli_gateway_seconds"), "A client waits for 15 seconds at most.", "s"),
            Lines(
                "Waiting, and Kafka there",
                (
                    Asked("sum(dli_gateway_waiting)", "waiting"),
                    Asked("min(dli_gateway_kafka_up)", "Kafka is there"),
                ),
                "Requests that wait for an answer; and 0 where a gateway accepts none.",
            ),
            Lines(
                "Notifications",
                (Asked(rate("dli_gateway_notifications_total", "outcome"), "{{outcome}}"),),
                "Failed ones are tried again.",
                "cps",
            ),
            Lines(
                "Subscriptions",
                (Asked("max by (status) (dli_gateway_subscriptions)", "{{status}}"),),
                "By status: in error, a subscriber hears nothing until it updates its subscription.",
            ),
            Lines(
                "Failing for",
                (Asked("max(dli_gateway_notification_failing_seconds)", "longest"),),
                "How long the notification that fails longest has failed.",
                "s",
            ),
        ),
    ),
)

DECISIONS = (
    Section(
        "Decisions",
        (
            Lines(
                "By action",
                (Asked(rate("dli_decisions_total", "action"), "{{action}}"),),
                "X12 306: A1 certified, A2 in part, A4 pended, C cancelled, CT contact payer.",
                "cps",
            ),
            Lines(
                "Lines by determination",
                (Asked(rate("dli_decided_lines_total", "determination"), "{{determination}}"),),
                "Service lines.",
                "cps",
            ),
            Lines(
                "Lines by revision",
                (Asked(rate("dli_decided_lines_total", "policy, revision"), "{{policy}} of {{revision}}"),),
                "The policy's revision in force on the service date.",
                "cps",
            ),
            Lines(
                "Requests under a draft",
                (Asked(rate("dli_shadow_requests_total", "outcome"), "{{outcome}}"),),
                "If DLI_SHADOW_POLICY names one; failures are in the workers' logs.",
                "cps",
            ),
            Lines(
                "Lines under a draft",
                (
                    Asked(
                        rate("dli_shadow_lines_total", "kind, determination, draft"),
                        "{{kind}}: {{determination}} → {{draft}}",
                    ),
                ),
                "Lines that differ, by the decision's determination and the draft's.",
                "cps",
            ),
            Lines(
                "Facts asked for",
                (Asked(rate("dli_information_requests_total", "fact"), "{{fact}}"),),
                "Decisions that wait for the fact.",
                "cps",
            ),
            Lines(
                "Share certified at once",
                (
                    Asked(
                        CERTIFIED,
                        "A1",
                    ),
                ),
                "Of all decisions.",
                "percentunit",
            ),
            Lines(
                "Pended",
                (
                    Asked("sum by (state) (dli_pended_requests)", "{{state}}"),
                    Asked("sum(dli_overdue_requests)", "overdue"),
                ),
                "Open cases by the state of their clock.",
            ),
            Lines(
                "Whose turn it is",
                (Asked("sum by (acts_next) (dli_work_list_requests)", "{{acts_next}}"),),
                "Open cases by who acts next; one that waits for two counts for each.",
            ),
            Lines(
                "Overdue, by who acts next",
                (Asked('sum by (acts_next) (dli_work_list_requests{due="overdue"})', "{{acts_next}}"),),
                "`dli cases --overdue` lists them.",
            ),
            Rows("Register", "max by (policy) (dli_policy_revisions_known)", "Revisions known, by policy."),
        ),
    ),
)

BOARDS = {
    "operations": ("Prior authorization: operations", OPERATIONS),
    "decisions": ("Prior authorization: decisions", DECISIONS),
}


def expressions() -> list[tuple[str, str]]:
    """Every expression, with the title of its panel."""
    found: list[tuple[str, str]] = []
    for _, sections in BOARDS.values():
        for panel in (panel for section in sections for panel in section.panels):
            asked = [one.expression for one in panel.asked] if isinstance(panel, Lines) else [panel.expression]
            found.extend((panel.title, one) for one in asked)
    return found


def generated() -> dict[str, str]:
    """The dashboards' files, by name."""
    return {f"{uid}.json": _json(uid, title, sections) for uid, (title, sections) in BOARDS.items()}


def _json(uid: str, title: str, sections: Sequence[Section]) -> str:
    board = (
        dashboard.Dashboard(title)
        .uid(f"dli-{uid}")
        .tags(["dli-authorization"])
        .editable()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh("30s")
        .time("now-3h", "now")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    numbers = count(1)
    for section in sections:
        board = board.with_row(dashboard.Row(section.title).id(next(numbers)))
        for panel in section.panels:
            board = board.with_panel(_built(panel, len(section.panels)).id(next(numbers)))
    # Keys in order: the file changes where a panel does, and nowhere else.
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


def _built(panel: Panel, neighbours: int) -> Any:
    if isinstance(panel, Number):
        return _number(panel, WHOLE // neighbours)
    if isinstance(panel, Rows):
        return (
            table.Panel()
            .title(panel.title)
            .description(panel.says)
            .datasource(SOURCE)
            .height(HEIGHT)
            .span(panel.width)
            .with_target(_query(Asked(panel.expression)).instant().format(PromQueryFormat.TABLE))
        )
    built = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.says)
        .datasource(SOURCE)
        .unit(panel.unit)
        .height(HEIGHT)
        .span(panel.width)
        .min(0)
        .legend(common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).show_legend(True))
    )
    for letter, asked in zip(ascii_uppercase, panel.asked, strict=False):
        built = built.with_target(_query(asked, letter))
    return built


def _number(panel: Number, width: int) -> Any:
    low, high = ("red", "green") if panel.good_above else ("green", "red")
    steps = [Threshold(value=None, color=low)]
    if panel.red_from is not None:
        steps.append(Threshold(value=panel.red_from, color=high))
    return (
        stat.Panel()
        .title(panel.title)
        .description(panel.says)
        .datasource(SOURCE)
        .unit(panel.unit)
        .height(HEIGHT // 2)
        .span(width)
        .color_mode(BigValueColorMode.BACKGROUND)
        .graph_mode(BigValueGraphMode.NONE)
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(_query(Asked(panel.expression)).instant())
    )


def _query(asked: Asked, letter: str = "A") -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(letter).datasource(SOURCE).expr(asked.expression).legend_format(asked.legend)
