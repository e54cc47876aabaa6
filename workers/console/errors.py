"""The error hierarchy: each message is for the user, and says what to do.

    DliError
    ├── CommandError          what was asked for cannot be done as it was asked
    ├── SettingsError         settings that cannot be used
    ├── ClusterError          the cluster does not do what it was asked
    │   ├── AccessRefusedError   it is there, and does not let us
    │   ├── ReadingError         the brokers do not answer, or refuse
    │   │   └── UnrecordedError  an act cannot be recorded, so it is not done
    │   └── TopicsError          topics cannot be read or made, or do not suit workers
    ├── ScaleError            partitions cannot be added as asked
    ├── OffsetError           an offset cannot be set as asked
    ├── TraceError            a request cannot be traced
    ├── FilterError           a filter of the work list cannot be used
    ├── UnreadableCaseError   a record of the topic of cases is no case
    ├── PartnersError         trading partners' files have mistakes
    ├── InputError            a file cannot be read, or is not what it should be
    ├── BrokerError           a broker of a demo or a test does not start
    ├── DemoError             a process of the demo does not start
    ├── RevisionError         a revision cannot be published or taken back as asked
    ├── ForkedError           packaged documents and the topic of revisions contradict each other
    ├── ReplayError           a log or an archive cannot be used
    │   ├── SignatureError    an archive's signature cannot be made or is not there
    │   └── UnreachableLogError  the brokers of a log do not respond; a ReadingError too
    ├── UnguardedError        the dashboard would answer to anybody
    └── ForbiddenError        who asks may not

The command line converts each into a message and an exit code. The core has its own errors,
`policy_core.document.problems.PolicyDocumentError` and `policy_core.work_limit.TooComplexError`, because it does not
depend on workers. An invalid event is not an error but a dead letter's reason, `events.decode.RejectedError`.
"""


class DliError(Exception):
    """An error that the user can fix; the message says how."""

    is_refusal = False
    """Whether the request was refused before anything was begun."""
