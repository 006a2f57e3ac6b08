"""gpuctl: GPU machines on demand, and to the cent which client each cent was for."""

__version__ = "0.1.0"
