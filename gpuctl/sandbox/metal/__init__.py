"""Bare machines on loopback: a directory, a shell over real SSH, a metadata service each."""

from gpuctl.sandbox.metal.loopback import LoopbackMetal

__all__ = ["LoopbackMetal"]
