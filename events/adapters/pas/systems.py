"""The URLs by which FHIR names code systems, extensions and profiles."""

from types import MappingProxyType
from typing import Final

from events.adapters.submission import Trouble

PAS: Final = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"
"""Before the names of the guide's extensions and profiles."""
X12: Final = "https://codesystem.x12.org/005010/"
"""Before the number of an X12 code list."""
DECISION_REASONS: Final = "https://codesystem.x12.org/external/886"
NPI: Final = "http://hl7.org/fhir/sid/us-npi"
NAIC: Final = "http://hl7.org/fhir/sid/us-naic"
CONTROL_NUMBERS: Final = "urn:dli-authorization:control-number"
"""Of our control numbers."""
TRACE_ORGANIZATION: Final = "urn:trnorg:"
"""Before TRN03, in the system of a Claim's identifier."""
CLAIM_TYPES: Final = "http://terminology.hl7.org/CodeSystem/claim-type"
ADJUDICATION: Final = "http://terminology.hl7.org/CodeSystem/adjudication"

NPI_SYSTEMS: Final = frozenset({NPI, "urn:oid:2.16.840.1.113883.4.6"})
_CPT: Final = "http://www.ama-assn.org/go/cpt"
_HCPCS: Final = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
_PCS: Final = "http://www.cms.gov/Medicare/Coding/ICD10"
_ICD_9_PCS: Final = "http://hl7.org/fhir/sid/icd-9-pcs"
_ICD_9: Final = "http://terminology.hl7.org/CodeSystem/icd9cm"
"""The guide's name of both volumes, of diagnoses and of procedures."""
PROCEDURE_SYSTEMS: Final = MappingProxyType(
    {
        _CPT: "cpt",
        "urn:oid:2.16.840.1.113883.6.12": "cpt",
        _HCPCS: "hcpcs",
        "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": "hcpcs",
        "https://www.cms.gov/medicare/coding/hcpcsreleasecodesets": "hcpcs",
        "http://www.cms.gov/Medicare/Coding/HCPCS": "hcpcs",
        "https://bluebutton.cms.gov/resources/codesystem/hcpcs": "hcpcs",
        "https://codesystem.x12.org/external/130": "hcpcs",
        "urn:oid:2.16.840.1.113883.6.14": "hcpcs",
        "urn:oid:2.16.840.1.113883.6.285": "hcpcs",
        "http://www.ada.org/cdt": "hcpcs",
        _PCS: "icd-10-pcs",
        "https://www.cms.gov/Medicare/Coding/ICD10": "icd-10-pcs",
        "http://hl7.org/fhir/sid/icd-10-pcs": "icd-10-pcs",
        "urn:oid:2.16.840.1.113883.6.4": "icd-10-pcs",
        _ICD_9_PCS: "icd-9-pcs",
        _ICD_9: "icd-9-pcs",
        "http://hl7.org/fhir/sid/icd-9-cm/procedure": "icd-9-pcs",
        "urn:oid:2.16.840.1.113883.6.104": "icd-9-pcs",
    }
)
"""Our word for the code systems of procedures."""
ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
"""Not a code of what is stated, but why nothing is."""
SERVICE_TYPES: Final = f"{X12}1365"
"""Not a procedure: only the kind of service."""
DIAGNOSIS_SYSTEMS: Final = MappingProxyType(
    {
        "http://hl7.org/fhir/sid/icd-10-cm": "icd-10-cm",
        "urn:oid:2.16.840.1.113883.6.90": "icd-10-cm",
        _ICD_9: "icd-9-cm",
        "http://hl7.org/fhir/sid/icd-9-cm": "icd-9-cm",
        "http://hl7.org/fhir/sid/icd-9-cm/diagnosis": "icd-9-cm",
        "urn:oid:2.16.840.1.113883.6.103": "icd-9-cm",
    }
)
"""Our word for the code systems of diagnoses."""
WRITTEN_SYSTEMS: Final = MappingProxyType(
    {"cpt": _CPT, "hcpcs": _HCPCS, "icd-10-pcs": _PCS, "icd-9-pcs": _ICD_9, "service-type": SERVICE_TYPES}
)
"""Of what is granted, by our word."""

OPERATION_CODES: Final = MappingProxyType[Trouble, str](
    {
        "missing": "required",
        "invalid": "invalid",
        "no_such_day": "value",
        "no_such_procedure": "code-invalid",
        "no_such_provider": "value",
    }
)
"""`OperationOutcome.issue.code`."""
