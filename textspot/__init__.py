"""Train, evaluate and run one network that finds text in photographs and reads it."""

__version__ = "0.1.0"
