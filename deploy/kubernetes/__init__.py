"""Kubernetes: the manifests that are made from what the software declares."""
