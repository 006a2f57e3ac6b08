recipe  = "portable-cu126"
base    = "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id"
user    = "ubuntu"
types   = ["c7i.large", "m7i.large", "c6i.large"]
disk_gb = 40

steps = [
  "common/10-base.sh",
  "steps/20-nvidia.sh",
  "common/30-docker.sh",
  "common/40-python.sh",
  "common/50-agent.sh",
  "common/90-clean.sh",
]

environment = {
  GPUCTL_IMAGE         = "torch-portable"
  GPUCTL_IMAGE_VERSION = "1"
  GPUCTL_USER          = "ubuntu"
  GPUCTL_DRIVER        = "580"
  GPUCTL_MODULE        = "proprietary"
  GPUCTL_CUDA          = "cu126"
  GPUCTL_TORCH         = "2.10.0"
  GPUCTL_PYTHON        = "3.10"
}
