"""What `doctor` says about a Google project: can it be used, is there quota, who may come in."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from gpuctl.core.errors import Denied, GpuctlError
from gpuctl.core.model import Check, Want
from gpuctl.providers.gcp.calls import Call
from gpuctl.providers.gcp.client import Compute
from gpuctl.providers.gcp.errors import Json
from gpuctl.providers.gcp.offers import Offers
from gpuctl.providers.gcp.prices import PriceBook
from gpuctl.providers.gcp.translate import last, region_of

QUOTAS = "https://console.cloud.google.com/iam-admin/quotas"
ALL_GPUS = "GPUS_ALL_REGIONS"
_METRICS = {
    "nvidia-tesla-t4": "NVIDIA_T4_GPUS",
    "nvidia-tesla-p4": "NVIDIA_P4_GPUS",
    "nvidia-tesla-p100": "NVIDIA_P100_GPUS",
    "nvidia-tesla-v100": "NVIDIA_V100_GPUS",
    "nvidia-tesla-a100": "NVIDIA_A100_GPUS",
    "nvidia-a100-80gb": "NVIDIA_A100_80GB_GPUS",
    "nvidia-l4": "NVIDIA_L4_GPUS",
}


def quota_left(quotas: Sequence[Json], metric: str) -> Decimal | None:
    """How much of a quota is left; None when Google does not list it."""
    for quota in quotas:
        if quota.get("metric") == metric:
            return Decimal(str(quota.get("limit") or 0)) - Decimal(str(quota.get("usage") or 0))
    return None


def open_to_all(rules: Sequence[Json]) -> tuple[str, ...]:
    """Rules that let the whole world in to port 22 of every VM of their network."""
    return tuple(rule["name"] for rule in rules if _is_open(rule))


def _is_open(rule: Json) -> bool:
    if rule.get("disabled") or rule.get("targetTags") or rule.get("direction") == "EGRESS":
        return False
    if not {"0.0.0.0/0", "::/0"} & set(rule.get("sourceRanges") or ()):
        return False
    return any(_allows_ssh(allowed) for allowed in rule.get("allowed") or ())


def _allows_ssh(allowed: Json) -> bool:
    if allowed.get("IPProtocol") not in ("tcp", "all", "6"):
        return False
    for ports in allowed.get("ports") or ("0-65535",):
        low, _, high = str(ports).partition("-")
        if int(low) <= 22 <= int(high or low):  # noqa: PLR2004 - ssh
            return True
    return False


class Doctor:
    """Runs the checks; none of them changes anything."""

    def __init__(self, compute: Compute, offers: Offers, book: PriceBook) -> None:
        self._compute = compute
        self._offers = offers
        self._book = book

    def checks(self, want: Want | None) -> Iterator[Check]:
        """One line each. After the first, nothing is asked if the project cannot be read."""
        name = f"project {self._compute.project}"
        try:
            project = self._compute.read(Call.GET_PROJECT, doing=f"reading {name}")
        except GpuctlError as error:
            why = error.detail or ""
            fix = error.hint
            if isinstance(error, Denied) and "accessNotConfigured" in why:
                fix = f"gcloud services enable compute --project {self._compute.project}"
            yield Check(name=name, ok=False, says=error.message, why=why or None, fix=fix)
            return
        yield Check(name=name, ok=True, says="can be read with these credentials")
        yield from self._guarded("login", lambda: _os_login(project))
        yield from self._guarded("firewall", self._firewall)
        yield Check(
            name="prices",
            ok=True,
            says=f"{self._book.source}; spot prices move, bills settle them",
            why=self._book.catalog.problem if self._book.catalog else None,
        )
        if want is not None:
            yield from self._guarded("quota", lambda: self._quota(project, want))

    def _guarded(self, name: str, check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
        try:
            yield from check()
        except GpuctlError as error:
            yield Check(name=name, ok=None, says=error.message, why=error.detail, fix=error.hint)

    def _firewall(self) -> Iterator[Check]:
        rules = list(self._compute.listed(Call.LIST_FIREWALLS, doing="listing firewall rules"))
        found = open_to_all(rules)
        if not found:
            yield Check(name="firewall", ok=True, says="no rule lets the world in to port 22")
        for rule in found:
            yield Check(
                name="firewall",
                ok=None,
                says=f"{rule} lets the whole world in to port 22 of every VM",
                why="gpuctl adds a rule for your address only; this one is wider",
                fix=f"gcloud compute firewall-rules delete {rule}",
            )

    def _quota(self, project: Json, want: Want) -> Iterator[Check]:
        offers = [offer for offer in self._offers(want) if offer.available]
        says = f"{len(offers)} of the template's types and zones are offered"
        yield Check(name="template", ok=bool(offers), says=says, fix="gpuctl offers")
        if not any(offer.gpus for offer in offers):
            return
        yield _enough(ALL_GPUS, project.get("quotas") or (), 1, "the whole project")
        asked: set[tuple[str, str]] = set()
        for offer in offers:
            sku = next((c.sku for c in offer.components if c.kind.value == "gpu"), "")
            metric, region = _METRICS.get(sku), region_of(offer.zone)
            if metric is None or (metric, region) in asked:
                continue
            asked.add((metric, region))
            quotas = self._compute.read(
                Call.GET_REGION, doing=f"reading {region}", region=region
            ).get("quotas")
            if offer.market.value == "spot":
                spot = f"PREEMPTIBLE_{metric}"
                metric = spot if (quota_left(quotas or (), spot) or 0) > 0 else metric
            yield _enough(metric, quotas or (), offer.gpus, region)


def _enough(metric: str, quotas: Sequence[Json], needed: int, where: str) -> Check:
    left = quota_left(quotas, metric)
    name = f"quota {metric}"
    if left is None:
        return Check(name=name, ok=None, says=f"Google does not list it for {where}", fix=QUOTAS)
    ok = left >= needed
    why = None if ok else f"{needed} needed"
    return Check(
        name=name, ok=ok, says=f"{left:f} left in {where}", why=why, fix=None if ok else QUOTAS
    )


def _os_login(project: Json) -> Iterator[Check]:
    items = (project.get("commonInstanceMetadata") or {}).get("items") or ()
    on = any(
        last(item["key"]) == "enable-oslogin" and str(item.get("value")).upper() == "TRUE"
        for item in items
    )
    if on:
        yield Check(
            name="login",
            ok=None,
            says="OS Login is on for the project: a VM you adopt ignores gpuctl's key",
            fix="gcloud compute instances add-metadata VM --metadata enable-oslogin=FALSE",
        )
