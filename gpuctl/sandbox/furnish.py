"""What an account has before gpuctl comes: a bucket, and a role that machines may be given."""

import urllib.parse
import urllib.request

from gpuctl.sandbox.state import SandboxState

_TIMEOUT_S = 30.0


def furnish(state: SandboxState, *, bucket: str, profile: str) -> None:
    """Make them in the sandbox's AWS account, as its owner would. OSError."""
    _ask(state, f"/{bucket}", "s3", method="PUT")
    form = {
        "Action": "CreateInstanceProfile",
        "InstanceProfileName": profile,
        "Version": "2010-05-08",
    }
    _ask(state, "/", "iam", method="POST", data=urllib.parse.urlencode(form).encode())


def _ask(
    state: SandboxState, path: str, service: str, *, method: str, data: bytes | None = None
) -> None:
    # The sandbox tells services apart by the signature's scope; nobody checks the signature.
    scope = f"sandbox/20200101/us-east-1/{service}/aws4_request"
    request = urllib.request.Request(  # noqa: S310 - loopback, from the state file
        state.aws_endpoint + path,
        data=data,
        method=method,
        headers={
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
        },
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_TIMEOUT_S) as answer:
        answer.read()
