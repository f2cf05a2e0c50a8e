"""Contracts and plumbing that at least two services use."""
