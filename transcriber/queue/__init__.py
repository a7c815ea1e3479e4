"""Jobs brought to their end: taken in turn, run on an engine, tried again."""
