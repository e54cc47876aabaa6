"""`dli gateway`: FHIR PAS and X12 278 over HTTP, answered from Kafka."""
