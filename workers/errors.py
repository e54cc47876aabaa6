"""The error hierarchy: each message is for the user, and says what to do.

    DliError ├── CommandError          the command cannot be done as requested │   └── ScaleError        partitions
    cannot be added as asked ├── SettingsError         invalid settings ├── AccessRefusedError    the cluster refuses us
    ├── ReadingError          the brokers do not respond, or refuse │   └── UnrecordedError   an act cannot be recorded,
    so it is not done ├── TopicsError           topics cannot be read or created ├── BrokerError           a broker of a
    demo or a test does not start ├── ForkedError           packaged documents contradict the topic of revisions ├──
    ReplayError           a log or an archive cannot be used │   └── SignatureError    an archive's signature is missing
    or invalid ├── UnguardedError        the dashboard would be open to anyone └── ForbiddenError the visitor is not
    authorized

The command line converts each into a message and an exit code. The core has its own errors,
`policy_core.document.problems.PolicyDocumentError` and `policy_core.work_limit.TooComplexError`, because it does not
depend on workers. An invalid event is not an error but a dead letter's reason, `events.decode.RejectedError`.
"""


class DliError(Exception):
    """An error that the user can fix; the message says how."""

    is_refusal = False
    """Whether the request was refused before anything was begun."""
