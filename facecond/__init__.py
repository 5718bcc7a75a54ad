"""facecond: controllable face generation with routed conditions."""

__version__ = "0.1.0"
