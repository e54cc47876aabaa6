"""What `dli accounts` says: whether all that was consumed is accounted for, partition by partition and in a line."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from workers.accounts.account import PartitionBalance, Recounted, total
from workers.printable import counted
from workers.settings import Settings


def balanced(found: Sequence[PartitionBalance]) -> bool:
    """Whether all is accounted for; not where there is nothing to account for it."""
    if not found or any(one.problem for one in found):
        return False
    return not _unused(found) or not any(one.waiting or one.beginning for one in found)


def _unused(found: Sequence[PartitionBalance]) -> bool:
    """Whether the group has committed nothing yet."""
    return all(one.committed is None for one in found)


def sentence(found: Sequence[PartitionBalance], group: str) -> str:
    """All of it in one line: that it balances, by how much it does not, or that the group has consumed nothing yet."""
    if _unused(found):
        return _of_unused(found, group)
    of = total(found)
    told_of = (
        f"{of.consumed:,} consumed {'=' if not of.difference else '≠'} {of.decided:,} decided + "
        f"{counted(of.duplicates, 'duplicate')} + {counted(of.dead_lettered, 'dead letter')}; "
        f"{sum(one.waiting for one in found):,} waiting"
    ) + (f"; {of.lost:,} lost" if of.lost else "")
    told_of += "".join(
        f"; partition {one.partition}: an open transaction holds up {one.held:,} of these" for one in found if one.held
    )
    if balanced(found):
        return f"balanced: {told_of}"
    named = "; ".join(f"partition {one.partition}: {one.problem}" for one in found if one.problem)
    return f"NOT balanced: {told_of} ({named})"


def _of_unused(found: Sequence[PartitionBalance], group: str) -> str:
    waiting, gone = sum(one.waiting for one in found), sum(one.beginning for one in found)
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


def line(one: PartitionBalance) -> str:
    """One partition as JSON."""
    account = one.account
    fields = {
        "partition": one.partition,
        "committed": one.committed,
        "waiting": one.waiting,
        **({name: getattr(account, name) for name in ("since", *OUTCOMES, "difference")} if account else {}),
        "problem": one.problem,
    }
    return json.dumps(fields)


OUTCOMES = ("consumed", "decided", "duplicates", "dead_lettered", "lost")


def table(found: Sequence[PartitionBalance]) -> Table:
    """The partitions, one a row."""
    made = Table(header_style="bold")
    for column in ("partition", "committed", "waiting", "since", *OUTCOMES, "difference"):
        made.add_column(column.replace("_", "-"), justify="right")
    for one in found:
        account = one.account
        names = ("since", *OUTCOMES, "difference")
        numbers = [f"{getattr(account, name):,}" if account else "-" for name in names]
        committed = "-" if one.committed is None else f"{one.committed:,}"
        made.add_row(str(one.partition), committed, f"{one.waiting:,}", *numbers, style="red" if one.problem else None)
    return made


def tell_recount(console: Console, again: Sequence[Recounted], found: Settings) -> bool:
    """Print what the topics hold beside the accounts; whether they differ."""
    wrong = [one for one in again if one.problem]
    untold = [one for one in again if one.moved or one.gone or (one.account and one.account.since)]
    requests, decisions = sum(one.requests for one in again), sum(one.decisions for one in again)
    letters = sum(one.dead_letters for one in again)
    text = f"on the topics: {counted(requests, 'request')}, {counted(decisions, 'decision')}, "
    text += counted(letters, "dead letter")
    for one in wrong:
        text += f"\n  partition {one.partition}: {one.problem}"
    for one in untold:
        reason = (
            "workers went on meanwhile"
            if one.moved
            else f"{counted(one.gone, 'offset')} no longer kept"
            if one.gone
            else "its account was opened later"
        )
        text += f"\n  partition {one.partition}: cannot be compared, {reason}"
    verdict = "differs" if wrong else "agrees" if not untold else "agrees where it can be compared"
    console.print(Text(f"{text}\nthe recount {verdict} ({found.bootstrap})", style="bold red" if wrong else "green"))
    return bool(wrong)
