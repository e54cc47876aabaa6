"""Records in order, wherever they are kept: on Kafka, in an archive, in a file; and the processes that read them."""
