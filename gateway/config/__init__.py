"""The configuration: what `gateway.toml` and the environment say, checked as a whole and frozen."""

from gateway.config.changes import waiting_for_restart
from gateway.config.load import BUILTIN, load
from gateway.config.settings import (
    Config,
    Destination,
    Networks,
    Retention,
    Server,
    Signing,
    Source,
    StoreSettings,
    TracingSettings,
)

__all__ = [
    "BUILTIN",
    "Config",
    "Destination",
    "Networks",
    "Retention",
    "Server",
    "Signing",
    "Source",
    "StoreSettings",
    "TracingSettings",
    "load",
    "waiting_for_restart",
]
