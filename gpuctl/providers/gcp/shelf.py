"""Images that exist: listed, found by name, promoted, shared and removed. One serves all regions.

A channel is a label with the time of the promotion: the latest one leads, so that between
giving it to one version and taking it from another there is never a moment without any.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from gpuctl.core.errors import InvalidRequest, NotFound
from gpuctl.core.images.stored import StoredImage, channel_name, named
from gpuctl.core.names import label_of_time, project_of_label
from gpuctl.core.ports import Clock, NewId
from gpuctl.providers.gcp.calls import Call
from gpuctl.providers.gcp.client import Compute
from gpuctl.providers.gcp.errors import Json, Refused, Step, error_of
from gpuctl.providers.gcp.image_labels import (
    CHANNEL,
    IMAGE,
    RECIPE,
    VERSION,
    channels,
    dotted,
    facts_of,
    label,
)
from gpuctl.providers.gcp.leftovers import image_billed
from gpuctl.providers.gcp.operations import Operations
from gpuctl.providers.gcp.request import request_id
from gpuctl.providers.gcp.translate import INSTALL, PROJECT, last, moment

GLOBAL = "global"
USER = "roles/compute.imageUser"
"""May start machines from an image and copy it (Google, "Managing access to custom images")."""

_TRIES = 4


class KeptImages:
    """The images of one project."""

    def __init__(
        self,
        compute: Compute,
        operations: Operations,
        *,
        account: str,
        install: str,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._compute = compute
        self._operations = operations
        self._account = account
        self._install = install
        self._clock = clock
        self._new_id = new_id

    def find_all(self) -> Sequence[StoredImage]:
        """Those with a name and version of gpuctl's."""
        found = [image for image in self._listed(f"labels.{IMAGE}:*") if _version(image)]
        leading = _leading(found)
        return [self._stored(image, leading) for image in found]

    def find(self, text: str) -> StoredImage:
        """The image a name leads to, or one of the project by its address. NotFound."""
        wanted = named(text)
        if wanted is None:
            return self._by_link(text)
        name = wanted.name
        if wanted.version is not None:
            told = f"labels.{IMAGE}={label(name)} AND labels.{VERSION}={label(wanted.version)}"
            found = list(self._listed(told))
            if not found:
                raise _missing(text)
            return self._stored(max(found, key=_made), {})
        key = f"{CHANNEL}{wanted.channel}"
        found = list(self._listed(f"labels.{IMAGE}={label(name)} AND labels.{key}:*"))
        leading = _leading(found)
        for image in found:
            if wanted.channel in leading.get(image["name"], ()):
                return self._stored(image, leading)
        raise _missing(text)

    def copy(self, image: StoredImage) -> StoredImage:
        """Itself: Google's images are everywhere."""
        return self.find(image.id)

    def promote(self, image: StoredImage, channel: str) -> None:
        """Gives it the label, then takes that of the other versions."""
        key = f"{CHANNEL}{channel_name(channel)}"
        now = label_of_time(self._clock())
        if not image.ready:
            raise InvalidRequest(f"{image.key} is not ready", hint="gpuctl ami list")
        self._relabel(last(image.id), lambda labels: {**labels, key: now})
        for other in self._listed(f"labels.{IMAGE}={label(image.name)} AND labels.{key}:*"):
            if other["name"] != last(image.id):
                self._relabel(
                    other["name"],
                    lambda labels: {k: v for k, v in labels.items() if k != key},
                )

    def check_share(self, image: StoredImage, whom: str) -> None:
        """InvalidRequest unless `whom` can be somebody on Google; asks nobody."""
        del image
        _member(whom)

    def share(self, image: StoredImage, whom: str) -> None:
        """Whom it names may use it: a person or service account by e-mail, a project by number.

        Google lets in people and accounts, never projects; a project's number stands for its own
        service agent (`NUMBER@cloudservices.gserviceaccount.com`), and InvalidRequest tells so.
        """
        member = _member(whom)
        name = last(image.id)
        doing = f"sharing {image.key} with {whom}"
        for tries in range(_TRIES):
            policy = self._compute.read(Call.GET_IMAGE_POLICY, doing=doing, resource=name)
            if any(
                binding.get("role") == USER and member in (binding.get("members") or ())
                for binding in policy.get("bindings") or ()
            ):
                return
            wanted = [*(policy.get("bindings") or ()), {"role": USER, "members": [member]}]
            body = {"policy": {**policy, "bindings": wanted}}
            try:
                self._compute.write(Call.SET_IMAGE_POLICY, None, body, resource=name)
            except Refused as refused:
                if refused.refusal.step is Step.STALE and tries + 1 < _TRIES:
                    continue
                raise error_of(refused.refusal, doing=doing) from refused
            return

    def remove(self, image: StoredImage) -> None:
        """Deletes it. ValueError when it is not ours (read again)."""
        doing = f"deleting image {image.key}"
        name = last(image.id)
        found = self._compute.look(Call.GET_IMAGE, doing=doing, image=name)
        ours = image.ours if found is None else _labels(found).get(INSTALL) == self._install
        if not ours:
            raise ValueError(f"{name} was not made by this installation")
        if found is None:
            return
        try:
            self._operations.change(
                Call.DELETE_IMAGE, request_id(self._new_id()), doing=doing, image=name
            )
        except NotFound:
            return

    def _listed(self, wanted: str) -> Sequence[Json]:
        return list(self._compute.listed(Call.LIST_IMAGES, doing="listing images", filter=wanted))

    def _by_link(self, text: str) -> StoredImage:
        head, _, name = text.partition("/global/images/")
        if not name or "/" in name or last(head) != self._account:
            raise InvalidRequest(
                f"image {text!r} is none of name@version, name@channel, "
                f"projects/{self._account}/global/images/…"
            )
        found = self._compute.look(Call.GET_IMAGE, doing=f"reading image {name}", image=name)
        if found is None:
            raise _missing(text)
        return self._stored(found, {})

    def _stored(self, image: Json, leading: Mapping[str, Sequence[str]]) -> StoredImage:
        labels = _labels(image)
        version = dotted(labels.get(VERSION)) or ""
        name = labels.get(IMAGE) or ""
        since = moment(image.get("creationTimestamp")) or self._clock()
        key = f"{name}@{version}"
        return StoredImage(
            provider="gcp",
            account=self._account,
            region=GLOBAL,
            id=f"projects/{self._account}/global/images/{image['name']}",
            name=name,
            version=version,
            made_at=since,
            ready=image.get("status") == "READY",
            facts=facts_of(labels, key, image.get("architecture"), "Google, images.get"),
            ours=labels.get(INSTALL) == self._install,
            recipe_sha256=labels.get(RECIPE),
            billed=image_billed(image),
            channels=tuple(sorted(leading.get(image["name"], ()))),
            encrypted=bool(image.get("imageEncryptionKey")),
            project=project_of_label(labels.get(PROJECT) or ""),
        )

    def _relabel(self, name: str, change: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        doing = f"labelling image {name}"
        for tries in range(_TRIES):
            image = self._compute.read(Call.GET_IMAGE, doing=doing, image=name)
            wanted = dict(change(_labels(image)))
            if wanted == _labels(image):
                return
            body = {"labels": wanted, "labelFingerprint": image.get("labelFingerprint")}
            try:
                self._operations.finish(
                    self._compute.write(Call.SET_IMAGE_LABELS, None, body, resource=name)
                )
            except Refused as refused:
                if refused.refusal.step is Step.STALE and tries + 1 < _TRIES:
                    continue
                raise error_of(refused.refusal, doing=doing) from refused
            return


def _labels(image: Json) -> Mapping[str, str]:
    found: Mapping[str, str] = image.get("labels") or {}
    return found


def _version(image: Json) -> str | None:
    return _labels(image).get(VERSION)


def _made(image: Json) -> str:
    return str(image.get("creationTimestamp") or "")


def _leading(found: Sequence[Json]) -> Mapping[str, list[str]]:
    """Image -> the channels that lead to it: of several, the one promoted last."""
    latest: dict[tuple[str, str], tuple[datetime, str]] = {}
    for image in found:
        for channel, since in channels(_labels(image)).items():
            key, claim = (_labels(image).get(IMAGE) or "", channel), (since, image["name"])
            latest[key] = max(latest.get(key, claim), claim)
    leading: dict[str, list[str]] = {}
    for (_, channel), (_, image_name) in latest.items():
        leading.setdefault(image_name, []).append(channel)
    return leading


def _member(whom: str) -> str:
    if whom.isdecimal() and len(whom) >= 10:  # noqa: PLR2004 - project numbers have that many
        return f"serviceAccount:{whom}@cloudservices.gserviceaccount.com"
    user, at, host = whom.partition("@")
    if not (user and at and "." in host):
        raise InvalidRequest(
            f"{whom!r}: Google shares images with people and service accounts by their e-mail, "
            "or with a project's own service agent by the project's number",
            hint="gcloud projects describe PROJECT --format='value(projectNumber)'",
        )
    kind = "serviceAccount" if host.endswith(".gserviceaccount.com") else "user"
    return f"{kind}:{whom}"


def _missing(text: str) -> NotFound:
    return NotFound(
        f"no image {text} in this Google project",
        hint="gpuctl ami list    (what there is)",
    )
