"""What the gateway takes from the formats and policies: how messages are read, and the Questionnaires."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from events.adapters.formats import FORMATS
from policy_core.document.models import PolicyDocument
from policy_core.history.library import documents
from policy_core.loading.load import load
from workers.configuration.settings import Settings, SettingsError
from workers.gateway.access.clients import read
from workers.gateway.messages import reading_by
from workers.gateway.server import Parts
from workers.integration.partners import Partners
from workers.integration.partners import load as load_partners
from workers.policies.policy_questionnaire import questionnaire_of


def parts(settings: Settings) -> Parts:
    """The parts of this release.

    Raises:
        PartnersError: The partners' configurations cannot be used.
        SettingsError: A client is no partner: the integration would answer none of its messages.
        PolicyDocumentError: A packaged document cannot be used.
    """
    partners = load_partners(settings.partners) if settings.partners is not None else None
    if partners is not None and settings.gateway_clients is not None:
        strangers = [
            one.partner for one in read(settings.gateway_clients).partners if partners.named(one.partner) is None
        ]
        if strangers:
            raise SettingsError(f"DLI_GATEWAY_CLIENTS: no partner in DLI_PARTNERS is named {', '.join(strangers)}")
    return Parts(
        pas=reading_by(FORMATS["pas"].adapter),
        x12=reading_by(FORMATS["x12-278"].adapter),
        questionnaires=_Questionnaires({one.number: one for one in map(load, documents(settings.policies))}, partners),
    )


class _Questionnaires:
    """Those of the packaged policies, by the canonical that each partner's configuration has."""

    def __init__(self, policies: Mapping[str, PolicyDocument], partners: Partners | None) -> None:
        self._policies, self._partners = policies, partners
        self.of_canonical = lru_cache(maxsize=64)(self._of_canonical)

    def __call__(self, partner: str) -> Mapping[str, Mapping[str, Any]]:
        known = self._partners.named(partner) if self._partners is not None else None
        return self.of_canonical(known.questionnaire if known is not None else None)

    def _of_canonical(self, canonical: str | None) -> Mapping[str, Mapping[str, Any]]:
        return {
            number: questionnaire_of(
                document, number, canonical if (canonical or "").rpartition("/")[2] == number else None
            )
            for number, document in self._policies.items()
        }
