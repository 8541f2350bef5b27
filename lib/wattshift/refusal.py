"""The one way this project says no."""


class Refusal(ValueError):
    """Bad input, refused in one plain sentence per fault: what was given, what is allowed, an example."""
