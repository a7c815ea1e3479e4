"""A transcription API: takes audio, keeps a durable queue of jobs, and tells of every step by signed webhook."""

__version__ = "0.1.0"
