"""The CapabilityStatement: what this server does, and by which guides."""

from collections.abc import Mapping
from typing import Any

from workers.gateway.subscriptions.resource import BACKPORT, PROFILE, TOPIC

PAS = "http://hl7.org/fhir/us/davinci-pas"
WRITTEN = "2026-11-28"
"""When the statement was last changed."""


def capability_statement(base: str, version: str) -> Mapping[str, Any]:
    """The statement of a server at an address."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": WRITTEN,
        "kind": "instance",
        "software": {"name": "dli-authorization", "version": version},
        "implementation": {"description": "Prior authorization by Da Vinci PAS", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "implementationGuide": [f"{PAS}/ImplementationGuide/hl7.fhir.us.davinci-pas|2.2.1"],
        "rest": [{"mode": "server", "security": _SECURITY, "resource": [_CLAIM, _SUBSCRIPTION, _QUESTIONNAIRE]}],
    }


_SECURITY = {
    "service": [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "OAuth"}]}
    ],
    "description": "Bearer tokens: static, or of the plan's authorization server by client credentials.",
}
_CLAIM = {
    "type": "Claim",
    "operation": [
        {"name": "submit", "definition": f"{PAS}/OperationDefinition/Claim-submit"},
        {"name": "inquire", "definition": f"{PAS}/OperationDefinition/Claim-inquiry"},
    ],
}
_SUBSCRIPTION = {
    "extension": [{"url": f"{BACKPORT}/capabilitystatement-subscriptiontopic-canonical", "valueCanonical": TOPIC}],
    "type": "Subscription",
    "supportedProfile": [PROFILE],
    "interaction": [{"code": "create"}, {"code": "read"}, {"code": "update"}, {"code": "delete"}],
    "versioning": "versioned-update",
}
_QUESTIONNAIRE = {
    "type": "Questionnaire",
    "interaction": [{"code": "read"}, {"code": "search-type"}],
    "searchParam": [{"name": "url", "type": "uri"}],
}
