"""Who did what: each act is recorded on `dli.audit` before it begins, and once it is over; no record, no act."""
