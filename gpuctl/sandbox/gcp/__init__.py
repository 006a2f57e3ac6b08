"""An emulated Compute Engine for the sandbox: the real client library talks to it unmodified."""

from gpuctl.sandbox.gcp.cloud import GcpCloud
from gpuctl.sandbox.gcp.truth import Run, TrueAddress, TrueDisk, TrueVm, Truth

__all__ = ["GcpCloud", "Run", "TrueAddress", "TrueDisk", "TrueVm", "Truth"]
