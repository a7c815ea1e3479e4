"""A package by name: paddle-python-sdk, which tests/oracles needs, would else put its own `tests` in this place."""
