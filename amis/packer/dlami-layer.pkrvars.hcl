recipe  = "dlami-layer"
base    = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
user    = "ubuntu"
types   = ["c7i.large", "m7i.large", "c6i.large"]
disk_gb = 90

steps = [
  "common/10-base.sh",
  "common/20-driver.sh",
  "common/30-docker.sh",
  "common/40-python.sh",
  "common/50-agent.sh",
  "common/90-clean.sh",
]

environment = {
  GPUCTL_IMAGE         = "torch-dlami"
  GPUCTL_IMAGE_VERSION = "1"
  GPUCTL_USER          = "ubuntu"
  GPUCTL_DRIVER_LEAST  = "570"
  GPUCTL_MODULE        = "open"
  GPUCTL_CUDA          = "cu128"
  GPUCTL_TORCH         = "2.10.0"
  GPUCTL_PYTHON        = "3.12"
}
