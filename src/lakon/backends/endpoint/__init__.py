"""OpenAI-compatible servers: one window of requests over a whole step."""
