"""`lakon compare`: results that are there already, from whatever tool, compared problem by problem."""
