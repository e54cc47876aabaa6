"""The packaged policy, read once in a process: documents and libraries never change."""

from functools import cache

from policy_core.document.models import PolicyDocument
from policy_core.history.library import PACKAGED, Library, load_library
from policy_core.loading.load import load


@cache
def packaged_document() -> PolicyDocument:
    return load(PACKAGED / "L.2.03.402.yaml")


@cache
def packaged_library() -> Library:
    return load_library([PACKAGED], "L.2.03.402")
