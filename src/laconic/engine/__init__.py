"""Where work runs: worker processes on this machine (`local`); other engines offer the same two calls."""
