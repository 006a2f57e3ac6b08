"""Ways to a machine that has no inbound port: each a command that speaks SSH on its streams.

Sources: AWS CLI reference, `ec2-instance-connect open-tunnel` and "Starting a session (SSH)" of
the Systems Manager guide; gcloud reference, `compute start-iap-tunnel --listen-on-stdin`.
"""

from gpuctl.config.model import Tunnel
from gpuctl.core.model import Machine

_SSH_PORT = "22"


def proxy(tunnel: Tunnel, machine: Machine) -> tuple[str, ...]:
    """The command (argv); () where ssh connects by itself. The vendor's own CLI must be there."""
    place, native = machine.id, machine.id.native
    match tunnel:
        case Tunnel.SSH:
            return ()
        case Tunnel.EICE:
            connect = ("aws", "ec2-instance-connect", "open-tunnel", "--instance-id", native)
            return (*connect, "--region", place.region)
        case Tunnel.SSM:
            session = ("aws", "ssm", "start-session", "--target", native, "--region", place.region)
            document = ("--document-name", "AWS-StartSSHSession")
            return (*session, *document, "--parameters", f"portNumber={_SSH_PORT}")
        case Tunnel.IAP:
            start = ("gcloud", "compute", "start-iap-tunnel", native, _SSH_PORT)
            return (
                *start,
                "--listen-on-stdin",
                f"--project={place.account}",
                f"--zone={place.zone}",
            )
