"""Sends the outbox, each webhook for itself: signs each event per Standard Webhooks and posts it until it is taken."""

from transcriber.notify.notifier import BACKOFF, Notifier

__all__ = ["BACKOFF", "Notifier"]
