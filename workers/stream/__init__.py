"""The stream processor: passes records to a handler and commits its results together with the offsets.

Stock Faust hands an agent one event at a time and sends each result separately; its own "exactly once" leaves results
for other topics outside the transaction. The stream processor takes over one topic of a Faust app. Faust still
subscribes, balances the group, recovers tables and runs the agents of every other topic. For each partition of this
topic the stream processor

1. pulls whole chunks from the consumer that Faust manages, on that consumer's thread;
2. passes them to a plain function, in offset order;
3. sends the function's results in large batches. It commits the offset after the last record in the same Kafka
   transaction (`Delivery.EXACTLY_ONCE`), or once every send is acknowledged (`Delivery.AT_LEAST_ONCE`).

Why nothing is lost and, with exactly-once delivery, nothing is duplicated:

* Each partition has its own transactional id. Starting its producer fences all earlier producers and waits until their
  transactions have ended. Only then is the committed offset read, and work starts there.
* Each pull names the offset it wants. If the consumer's position differs (a rebalance, a seek by Faust, a lost
  response), it is reset: no chunk is skipped or read twice.
* A failed transaction is not repaired. Its producer is discarded, and the partition restarts as after a takeover.
* An acknowledged commit may still be lost: see `partition_output.TransactionalOutput`.

Failures are of two kinds. After a broker outage, a rebalance or a lost producer id, the partition restarts,
indefinitely. If another worker fenced the producer, a permission is missing or the handler has a bug, retrying cannot
help: the process exits with `EXIT_PROCESSOR_LOST` for its supervisor.

`partition_loop.py` runs one partition's records through the handler, `partition_output.py` sends the results, and only
`faust_internals.py` touches unstable internals of Faust and aiokafka.
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
