"""The bitemporal history of a policy: the chain of its publications, and which ones are accepted."""
