"""The audit log: acts are recorded on `dli.audit` before they begin and when they end; no record, no act."""
