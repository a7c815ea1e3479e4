"""The routes: what is asked becomes a call of the store, and what that says an answer."""
