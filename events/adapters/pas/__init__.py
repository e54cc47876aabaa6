"""FHIR Da Vinci PAS: bundles of 2.2.1 and of 2.0.1 in, ClaimResponse bundles of 2.2.1 out.

bundle.py            a Bundle's resources, by the references of others
systems.py           the URLs of code systems, extensions and profiles
canonical_form.py    RFC 8785, by whose digest equal bundles are the same message
table.py             what becomes of each part of a request: the table from which code and page are made
reading.py           one canonical field each
clinical_answers.py  our questionnaire's answers
received.py          a request, or a refusal with everything that is wrong
shapes.py            parts that come back, held to their types
kept.py              what the answer repeats
answering.py         what an answer says: its table
writing.py           the resources of an answer
questionnaire.py     our questionnaire, as it is published
adapter.py           the format
"""
