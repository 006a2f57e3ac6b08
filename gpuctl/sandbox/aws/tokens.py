"""Client tokens: the same token with the same parameters is the same request."""

import hashlib
import json
from dataclasses import dataclass

from gpuctl.sandbox.aws.refusals import Refusal
from gpuctl.sandbox.aws.wire import Shape

_LONGEST = 64


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a token means something: RunInstances is zonal where a zone or subnet is named."""

    action: str
    region: str
    zone: str | None = None


class Tokens:
    """The tokens seen, and what came of them."""

    def __init__(self) -> None:
        self._seen: dict[tuple[Scope, str], tuple[str, tuple[str, ...]]] = {}

    def recall(self, scope: Scope, params: Shape) -> tuple[str, ...]:
        """Ids that this very request made before; () = it is new.

        Refusal `IdempotentParameterMismatch` when the token came with other parameters.
        """
        token = params.get("ClientToken")
        if not token:
            return ()
        if len(token) > _LONGEST or not token.isascii():
            raise Refusal("InvalidParameterValue", f"Invalid client token: {token}")
        seen = self._seen.get((scope, token))
        if seen is None:
            return ()
        if seen[0] != _print(params):
            raise Refusal("IdempotentParameterMismatch")
        return seen[1]

    def keep(self, scope: Scope, params: Shape, made: tuple[str, ...]) -> None:
        """Remember what a request made."""
        if params.get("ClientToken"):
            self._seen[scope, params["ClientToken"]] = (_print(params), made)

    def reset(self) -> None:
        """Forget all."""
        self._seen.clear()


def _print(params: Shape) -> str:
    bare = {key: value for key, value in params.items() if key not in {"ClientToken", "DryRun"}}
    text = json.dumps(bare, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
