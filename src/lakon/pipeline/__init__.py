"""A study becomes steps, and steps become a run: the only room that knows stages, domains, backends and engines."""
