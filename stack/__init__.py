"""The whole product on one machine: four real processes that start, stop, die and restart together."""
