"""The route that OpenAI's and Groq's SDKs call: their words for a job of the same queue."""
