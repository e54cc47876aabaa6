"""The stream processor: passes records to a handler and commits its results together with the offsets.

Stock Faust hands an agent one event at a time and sends each result separately; its own "exactly once" leaves results
for other topics outside the transaction. The stream processor takes over one topic of a Faust app. Faust still
subscribes, balances the group, recovers tables and runs the agents of every other topic. For each partition of this
topic the stream processor

1. pulls whole chunks from the consumer that Faust manages, on that consumer's thread;
2. passes them to a plain function, in offset order;
3. sends the function's results in large batches. It commits the offset after the last record in the same Kafka
   transaction (`Delivery.EXACTLY_ONCE`), which all partitions of the worker share, or once every send is acknowledged
   (`Delivery.AT_LEAST_ONCE`).

Why nothing is lost and, with exactly-once delivery, nothing is duplicated:

* Offsets are committed as a member of the group's generation. When the group gives a partition to another worker, a new
  generation begins, and Kafka refuses the former owner's offsets, and with them its transactions.
* The committed offset is read when no open transaction can still move it; work starts there. So a transaction of the
  former owner is either aborted or part of what the new one starts from. The same holds for local state: a changelog is
  read up to its end once all of it is decided.
* Each partition has its own transactional id, on whatever worker; a worker commits under that of its lowest partition.
  At an assignment it starts a producer with the id of each of its partitions: this fences a former owner that is dead
  or paused, and ends its transaction, so that the offsets it was about to move become readable at once.
* Each pull names the offset it wants. If the consumer's position differs (a rebalance, a seek by Faust, a lost
  response), it is reset: no chunk is skipped or read twice.
* A failed transaction is not repaired. Its producer is discarded. If its commit was requested, all its partitions
  restart as after a takeover; otherwise it is void, and what is not to blame for the failure is delivered again.
* An acknowledged commit may still be lost: see `transactions`.

Failures are of two kinds. After a broker outage, a rebalance or a lost producer id, the partition restarts,
indefinitely; a worker that the group has replaced waits until it gets partitions again. If another worker fenced the
producer, a permission is missing or the handler has a bug, retrying cannot help: the process exits with
`EXIT_PROCESSOR_LOST` for its supervisor.

`partition_loop.py` runs one partition's records through the handler, `partition_output.py` sends the results by
`transactions.py` or without. Only `faust_internals.py` and `group_offsets.py`, which speaks Kafka's protocol of group
offsets, touch unstable internals of Faust and aiokafka.
"""

from workers.stream.faust_internals import BATCH_BYTES
from workers.stream.partition_loop import EXIT_PROCESSOR_LOST, ProcessorLostError, Progress
from workers.stream.processor import StreamProcessor, app_settings, stream_processor

__all__ = [
    "BATCH_BYTES",
    "EXIT_PROCESSOR_LOST",
    "ProcessorLostError",
    "Progress",
    "StreamProcessor",
    "app_settings",
    "stream_processor",
]
