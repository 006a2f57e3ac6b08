"""AWS on loopback: moto with a front that emulates what moto hides (docs/sandbox-aws.md)."""

from gpuctl.sandbox.aws.cloud import AwsCloud
from gpuctl.sandbox.aws.disks import TrueVolume
from gpuctl.sandbox.aws.firewall import Violation
from gpuctl.sandbox.aws.fleet import Run, TrueInstance
from gpuctl.sandbox.aws.market import KNOBS, Market

__all__ = ["KNOBS", "AwsCloud", "Market", "Run", "TrueInstance", "TrueVolume", "Violation"]
