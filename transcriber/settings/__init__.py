"""The settings: one frozen value, parsed from the environment and the file it names, every fault reported at once."""

from transcriber.settings.environment import EngineName, Settings, parse
from transcriber.settings.webhooks import Webhook

__all__ = ["EngineName", "Settings", "Webhook", "parse"]
