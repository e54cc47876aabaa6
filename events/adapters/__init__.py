"""Claims platforms' formats: FHIR Da Vinci PAS bundles and X12 278 transaction sets, in and out.

    bytes ─► Adapter.read ─► Submission ─► chain.resolve ─► authorization.requested.v1 and Context
    decision and Context ─► Adapter.answer ─► bytes

Everything here is a pure function of its arguments: no clock, no network, no policy. `partner` is what a deployment
configures for one trading partner, `chain` joins the messages of one matter, `pas/` and `x12/` are the formats.
"""
