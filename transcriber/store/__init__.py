"""What is on disk: one SQLite file, owned by one process, and a folder of recordings."""
