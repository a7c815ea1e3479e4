"""Recordings as sound: identified, measured, in windows, encoded anew."""

from transcriber.audio.encoding import Cut, cuts
from transcriber.audio.measuring import identify, measure
from transcriber.audio.windows import MAX_WINDOW_SECONDS, SAMPLE_RATE, Window, windows

__all__ = ["MAX_WINDOW_SECONDS", "SAMPLE_RATE", "Cut", "Window", "cuts", "identify", "measure", "windows"]
