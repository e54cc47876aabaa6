"""Accounts as text: whether they balance, by partition and in one line."""

import json
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from workers.accounts.account import PartitionBalance, Recounted, total
from workers.accounts.platform_account import PlatformAccount
from workers.accounts.review_account import ReviewAccount
from workers.configuration.settings import Settings
from workers.console.printable import counted


def balanced(found: Sequence[PartitionBalance]) -> bool:
    """Whether all accounts balance; false if accounts are missing."""
    if not found or any(balance.problem for balance in found):
        return False
    return not _unused(found) or not any(balance.waiting or balance.beginning for balance in found)


def _unused(found: Sequence[PartitionBalance]) -> bool:
    """Whether the group has committed nothing yet."""
    return all(balance.committed is None for balance in found)


def sentence(found: Sequence[PartitionBalance], group: str) -> str:
    """The result in one line: balanced, not balanced, or nothing consumed yet."""
    if _unused(found):
        return _of_unused(found, group)
    of = total(found)
    text = (
        f"{of.consumed:,} consumed {'=' if not of.difference else '≠'} {of.decided:,} decided + "
        f"{counted(of.duplicates, 'duplicate')} + {counted(of.dead_lettered, 'dead letter')}; "
        f"{sum(balance.waiting for balance in found):,} waiting"
    ) + (f"; {of.lost:,} lost" if of.lost else "")
    text += "".join(
        f"; partition {balance.partition}: an open transaction holds up {balance.held:,} of these"
        for balance in found
        if balance.held
    )
    if balanced(found):
        return f"balanced: {text}"
    named = "; ".join(f"partition {balance.partition}: {balance.problem}" for balance in found if balance.problem)
    return f"NOT balanced: {text} ({named})"


def _of_unused(found: Sequence[PartitionBalance], group: str) -> str:
    waiting, gone = sum(balance.waiting for balance in found), sum(balance.beginning for balance in found)
    if not waiting and not gone:
        return f"nothing consumed yet: there are no requests, and the group {group} has committed nothing"
    what = f"{counted(waiting, 'request')} {'waits' if waiting == 1 else 'wait'}" if waiting else ""
    removed = (
        f"{counted(gone, 'offset')} {'was' if gone == 1 else 'were'} removed before they were read" if gone else ""
    )
    return (
        f"NOT balanced: nothing consumed yet, and {' and '.join(filter(None, (what, removed)))}: the group {group} has "
        "committed nothing; does a worker run, in this group (DLI_APP_ID, --app-id)?"
    )


def line(standing: PartitionBalance) -> str:
    """One partition as JSON."""
    account = standing.account
    fields = {
        "partition": standing.partition,
        "committed": standing.committed,
        "waiting": standing.waiting,
        **({name: getattr(account, name) for name in ("since", *OUTCOMES, "difference")} if account else {}),
        "problem": standing.problem,
    }
    return json.dumps(fields)


OUTCOMES = ("consumed", "decided", "duplicates", "dead_lettered", "lost")


def table(found: Sequence[PartitionBalance]) -> Table:
    """The partitions, one per row."""
    made = Table(header_style="bold")
    for column in ("partition", "committed", "waiting", "since", *OUTCOMES, "difference"):
        made.add_column(column.replace("_", "-"), justify="right")
    for balance in found:
        account = balance.account
        names = ("since", *OUTCOMES, "difference")
        numbers = [f"{getattr(account, name):,}" if account else "-" for name in names]
        committed = "-" if balance.committed is None else f"{balance.committed:,}"
        made.add_row(
            str(balance.partition),
            committed,
            f"{balance.waiting:,}",
            *numbers,
            style="red" if balance.problem else None,
        )
    return made


def review_line(account: ReviewAccount) -> str:
    """The account of verdicts as JSON."""
    return json.dumps({"verdicts": {**account._asdict(), "open": account.open, "problem": account.problem}})


def review_sentence(account: ReviewAccount) -> str:
    """The account of verdicts in one line."""
    text = (
        f"verdicts: {account.consumed:,} consumed {'=' if not account.missing else '≠'} {account.final:,} final + "
        f"{account.partial:,} partial + {account.extended:,} extended + {account.refused:,} refused + "
        f"{counted(account.duplicates, 'duplicate')} + {account.held:,} held + {account.on_their_way:,} on their way; "
        f"{account.waiting:,} waiting; cases: {account.opened:,} opened = {account.closed:,} closed + "
        f"{account.open:,} open"
    )
    return f"{text} ({account.problem})" if account.problem else text


def platform_line(account: PlatformAccount) -> str:
    """The account of platforms' messages as JSON."""
    return json.dumps({"platforms": {**account._asdict(), "problem": account.problem}})


def platform_sentence(account: PlatformAccount) -> str:
    """The account of platforms' messages in one line."""
    text = (
        f"platforms: {counted(account.messages, 'message')} {'=' if not account.missing else '≠'} "
        f"{account.requested:,} requested + {account.again:,} again + {account.not_known:,} not known + "
        f"{account.refused:,} refused + {account.on_their_way:,} on their way; {account.waiting:,} waiting; "
        f"{account.forwarded:,} forwarded, {account.answered:,} answered, {account.answered_again:,} answered again"
        + (f", {account.undelivered:,} undelivered" if account.undelivered else "")
    )
    return f"{text} ({account.problem})" if account.problem else text


def recount_text(again: Sequence[Recounted], found: Settings) -> Text:
    """The recount compared with the accounts."""
    wrong = differing(again)
    incomparable = [count for count in again if count.moved or count.gone or (count.account and count.account.since)]
    requests, decisions = sum(count.requests for count in again), sum(count.decisions for count in again)
    letters = sum(count.dead_letters for count in again)
    text = f"on the topics: {counted(requests, 'request')}, {counted(decisions, 'decision')}, "
    text += counted(letters, "dead letter")
    for count in wrong:
        text += f"\n  partition {count.partition}: {count.problem}"
    for count in incomparable:
        reason = (
            "workers went on meanwhile"
            if count.moved
            else f"{counted(count.gone, 'offset')} no longer kept"
            if count.gone
            else "its account was opened later"
        )
        text += f"\n  partition {count.partition}: cannot be compared, {reason}"
    verdict = "differs" if wrong else "agrees" if not incomparable else "agrees where it can be compared"
    return Text(f"{text}\nthe recount {verdict} ({found.bootstrap})", style="bold red" if wrong else "green")


def differing(again: Sequence[Recounted]) -> list[Recounted]:
    """The partitions whose account the topics contradict."""
    return [count for count in again if count.problem]
