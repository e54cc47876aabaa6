"""The newest requests in memory, by the digests of their ids."""

from collections import OrderedDict
from typing import TypeVar

T = TypeVar("T")


class RecentRequests(OrderedDict[bytes, T]):
    """A value for each request's digest; beyond `most` requests the oldest are dropped."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def keep(self, key: bytes, value: T) -> None:
        """Keep a value; a request that is there already keeps its age."""
        self[key] = value
        if len(self) > self._most:
            self.popitem(last=False)
