"""X12 278 (005010X217), in and out.

    bytes ─► interchange ─► loops ─► received, by the rows of table and the functions of reading ─► Submission
    Context and Decision ─► answering, by its rows ─► writing ─► bytes

`COVERAGE.md`, made from the rows, says what becomes of each field. Inquiries (005010X215) are not read.
"""
