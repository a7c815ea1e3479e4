"""From a request's body to a job to be: read as it comes, every field judged."""
