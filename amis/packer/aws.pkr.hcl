# The same recipes by Packer, for whoever builds with it already. gpuctl does not need it, and what
# Packer builds is not in gpuctl's ledger or images.lock.toml: name it by its id (image = "ami-…").
#
#   packer init amis/packer
#   packer build -var-file=amis/packer/portable-cu126.pkrvars.hcl amis/packer

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.0"
    }
  }
}

variable "region" {
  type    = string
  default = "us-east-2"
}

variable "recipe" {
  type        = string
  description = "The recipe's directory, beside common/."
}

variable "base" {
  type        = string
  description = "base.aws_ssm of image.toml: the base is named by its path, never by an id."
}

variable "user" {
  type = string
}

variable "types" {
  type        = list(string)
  description = "build.aws_types of image.toml."
}

variable "disk_gb" {
  type = number
}

variable "steps" {
  type        = list(string)
  description = "build.steps of image.toml, in their order."
}

variable "environment" {
  type        = map(string)
  description = "What steps are told, as amis/README.md lists it."
}

data "amazon-parameterstore" "base" {
  name   = var.base
  region = var.region
}

locals {
  amis = "${path.root}/.."
  told = join(" ", [for name, value in var.environment : "${name}=${value}"])
  name = "${var.environment["GPUCTL_IMAGE"]}-${var.environment["GPUCTL_IMAGE_VERSION"]}"
}

source "amazon-ebs" "image" {
  ami_name            = "${local.name}-packer"
  region              = var.region
  source_ami          = data.amazon-parameterstore.base.value
  spot_instance_types = var.types
  spot_price          = "auto"
  ssh_username        = var.user
  encrypt_boot        = true
  imds_support        = "v2.0"

  metadata_options {
    http_tokens = "required"
  }

  # Whatever becomes of Packer, the builder ends itself.
  user_data                            = "#!/bin/sh\nshutdown -h +120\n"
  shutdown_behavior                    = "terminate"
  temporary_security_group_source_public_ip = true

  launch_block_device_mappings {
    device_name           = "/dev/sda1"
    volume_size           = var.disk_gb
    volume_type           = "gp3"
    delete_on_termination = true
  }
}

build {
  sources = ["source.amazon-ebs.image"]

  provisioner "shell" {
    inline = [
      "sudo mkdir -p /run/gpuctl/build",
      "sudo chown \"$(id -un)\" /run/gpuctl/build",
    ]
  }

  provisioner "file" {
    source      = "${local.amis}/common"
    destination = "/run/gpuctl/build"
  }

  provisioner "file" {
    source      = "${local.amis}/${var.recipe}/"
    destination = "/run/gpuctl/build"
  }

  # The last step removes the logins, this connection's among them.
  provisioner "shell" {
    inline            = [for step in var.steps : "sudo env ${local.told} bash /run/gpuctl/build/${step}"]
    inline_shebang    = "/bin/sh -e"
    expect_disconnect = true
    skip_clean        = true
  }
}
