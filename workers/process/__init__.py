"""What every process of ours does alike: its logs, its metrics, its private files."""
