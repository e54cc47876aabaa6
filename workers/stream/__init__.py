"""The feed: how records reach a handler, and how its results leave together with the offsets.

Stock Faust hands an agent one event at a time, sends each result by itself, and its own "exactly once"
leaves results for other topics outside the transaction. The feed takes over one topic of a Faust app.
Faust still subscribes, balances the group, recovers tables and runs the agents of every other topic; for
the partitions of this topic the feed

1. pulls whole chunks from the consumer that Faust manages, on that consumer's own thread;
2. gives them to a plain function: records of one partition, in offset order;
3. sends all that the function returned in large batches and, in one Kafka transaction with them,
   the offset behind the last record (`Delivery.EXACTLY_ONCE`), or commits that offset once every send is
   acknowledged (`Delivery.AT_LEAST_ONCE`).

Why nothing is lost and, exactly once, nothing doubled, whatever Faust and the group do meanwhile:

* Each partition has a transactional id of its own. Starting its producer fences every earlier one and waits
  until their transactions have ended. Only then is the committed offset read, and work starts exactly there.
* The feed says which offset it wants next. Where the consumer stands elsewhere (a rebalance, a seek by
  Faust, an answer lost on the way) it is put back: no chunk is skipped, none is taken twice.
* A transaction that failed is not repaired. Its producer is thrown away, and the partition starts again as
  after a takeover.
* A commit that was acknowledged may still come undone: see `partition_output.TransactionalOutput`.

Failures come in two kinds. A broker that is away, a rebalance, a lost producer id: wait, and start the
partition again, forever. A producer fenced by another worker, a right that is missing, a bug in the handler:
trying again cannot help, so the process ends with `EXIT_FEED_LOST` for its supervisor to see.

`partition_loop.py` takes the records of one partition through the handler, `partition_output.py` carries its results
out, `faust_internals.py` alone touches parts of Faust and aiokafka that they do not promise to keep.
"""

from workers.stream.faust_internals import BATCH_BYTES
from workers.stream.partition_loop import EXIT_FEED_LOST, FeedLost, Progress
from workers.stream.processor import StreamProcessor, app_settings, feed

__all__ = ["BATCH_BYTES", "EXIT_FEED_LOST", "FeedLost", "Progress", "StreamProcessor", "app_settings", "feed"]
