"""wattshift: what happens when bitcoin miners turn their power sites into AI data centres."""

__version__ = "0.1.0"
