"""Where things are in the repository."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
EVENT_EXAMPLES = ROOT / "events" / "examples"
POLICIES = ROOT / "tests" / "policy_core" / "policies"
"""Policies of tests: of another insurer, by the same engine."""
