"""The contracts of the services, and what keeps them: `build` writes what is served of them, `changes` finds what breaks."""
