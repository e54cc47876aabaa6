"""What a cluster refuses or fails to do, as errors of ours; the sentences for a client's own errors.

`workers.console.errors` has the tree of all errors.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from kafka.errors import AuthorizationError, KafkaError

from workers.configuration.settings import Settings
from workers.console.errors import DliError


class ClusterError(DliError):
    """The cluster does not do what it was asked; the message says why, and what to do."""


class AccessRefusedError(ClusterError):
    """The cluster refuses us permanently; the message says why, without a password."""


class ReadingError(ClusterError):
    """The brokers do not respond, or refuse; the message says what to do."""


class TopicsError(ClusterError):
    """Topics cannot be read or created; the message says what to do."""


@contextmanager
def kafka_errors(settings: Settings) -> Iterator[None]:
    """Convert a Kafka client's errors into a readable error.

    Raises:
        ReadingError: On any Kafka error.
    """
    try:
        yield
    except KafkaError as error:
        raise ReadingError(explained(settings, error)) from error


@contextmanager
def topic_errors(settings: Settings) -> Iterator[None]:
    """The same for work on topics, where a lacking permission is an error of its own.

    Raises:
        AccessRefusedError: We lack a permission.
        TopicsError: On any other Kafka error.
    """
    try:
        yield
    except AuthorizationError as error:
        raise AccessRefusedError(explained(settings, error)) from error
    except KafkaError as error:
        raise TopicsError(explained(settings, error)) from error


def explained(settings: Settings, error: KafkaError) -> str:
    """The meaning of a client's error, and what to do."""
    if isinstance(error, AuthorizationError):
        what = type(error).__name__.removesuffix("AuthorizationFailedError").lower()
        return f"{settings.bootstrap}: {user_of(settings)} lacks a right ({what}): `dli rights` lists who needs which"
    return (
        f"{settings.bootstrap}: {type(error).__name__}; is Kafka there, is DLI_BOOTSTRAP (--bootstrap) its address, "
        f"and does it speak {settings.security_protocol} (DLI_SECURITY_PROTOCOL)?"
    )


def user_of(settings: Settings) -> str:
    """The user that the cluster knows us by, as part of a sentence."""
    if settings.sasl_mechanism == "OAUTHBEARER":
        return "the client that our token names"
    return f"user {settings.sasl_username}" if settings.sasl_username else "a client without a user's name"
