"""An S3 bucket, read with the user's own rights: listing it and reading its objects."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from gpuctl.core.checkpoints import Stored
from gpuctl.providers.aws.calls import Bucket
from gpuctl.providers.aws.client import READ_ATTEMPTS, MakeClient, part
from gpuctl.providers.aws.errors import refusal_of, sdk_errors, translated

_BLOCK = 1 << 18
_ANY_REGION = "us-east-1"
"""The SDK itself goes on to the bucket's own region."""
_MISSING = ("NoSuchKey", "404")


class S3Bucket:
    """Keeps the promises of `core.checkpoints.Store`."""

    def __init__(self, make: MakeClient, name: str) -> None:
        self._s3 = cast(Bucket, make("s3", _ANY_REGION, READ_ATTEMPTS))
        self._name = name

    def entries(self, prefix: str) -> Iterator[Stored]:
        """All pages. `NotFound` without such a bucket, `Denied` without the right."""
        doing = f"listing s3://{self._name}/{prefix}"
        more: dict[str, str] = {}
        while True:
            with translated(doing):
                page = self._s3.list_objects_v2(Bucket=self._name, Prefix=prefix, **more)
            part(page, "KeyCount", doing)
            for one in page.get("Contents") or ():
                yield Stored(one["Key"], one["Size"], one["LastModified"].timestamp())
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def read(self, key: str) -> Iterator[bytes]:
        """By blocks."""
        doing = f"reading s3://{self._name}/{key}"
        try:
            reply = self._s3.get_object(Bucket=self._name, Key=key)
        except sdk_errors() as error:
            if refusal_of(error).code in _MISSING:
                raise FileNotFoundError(key) from error
            with translated(doing):
                raise
        with translated(doing):
            yield from part(reply, "Body", doing).iter_chunks(_BLOCK)


def machine_policy(bucket: str, prefix: str = "") -> Mapping[str, Any]:
    """The rights of the role behind `instance_profile`: one prefix of one bucket."""
    arn = f"arn:aws:s3:::{bucket}"
    below = f"{prefix.strip('/')}/*" if prefix.strip("/") else "*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow(["s3:ListBucket"], arn, {"StringLike": {"s3:prefix": [below]}}),
            _allow(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], f"{arn}/{below}"),
        ],
    }


def _allow(
    actions: Sequence[str], resource: str, condition: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    found: dict[str, Any] = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return found | ({} if condition is None else {"Condition": condition})
