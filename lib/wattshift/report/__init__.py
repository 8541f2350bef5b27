"""From a notebook and a set of parameters to a report: run, typeset, move into place."""
