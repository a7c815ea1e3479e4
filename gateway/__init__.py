"""A webhook gateway: it authenticates webhooks, removes duplicates, stores them durably and forwards them in order."""

__version__ = "0.1.0"
