"""Scheduling: spot, live migration, and the limit on a run that Google itself enforces."""

from datetime import datetime, timedelta

from gpuctl.sandbox.gcp.wire import Json, bad_request, invalid

SHORTEST = 30
LONGEST = 120 * 86_400
"""Seconds: the documented bounds of maxRunDuration."""
LEGACY_LIFE = timedelta(hours=24)
"""A preemptible VM of the old kind ends after a day."""
STOPPED_ONLY = (
    "maxRunDuration",
    "terminationTime",
    "instanceTerminationAction",
    "provisioningModel",
    "preemptible",
)
"""Fields that change only while the VM is TERMINATED."""

_FIELD = "resource.scheduling"


def complete(given: Json, gpus: int) -> Json:
    """The scheduling as Google stores it: checked, defaults filled in. Refusal (400) otherwise."""
    spot = given.get("provisioningModel") == "SPOT"
    if spot and given.get("preemptible") is False:
        why = "Scheduling must have preemptible be true when provisioningModel is SPOT."
        raise invalid(f"{_FIELD}.preemptible", "false", why)
    preemptible = bool(given.get("preemptible", spot))
    full: Json = {
        "onHostMaintenance": "TERMINATE" if preemptible else "MIGRATE",
        "automaticRestart": not preemptible,
        "preemptible": preemptible,
        "provisioningModel": "STANDARD",
    } | given
    full["preemptible"] = preemptible
    if preemptible and full["automaticRestart"]:
        why = "Scheduling must have preemptible be false when AutomaticRestart is true."
        raise invalid(f"{_FIELD}.preemptible", "true", why)
    if preemptible and full["onHostMaintenance"] != "TERMINATE":
        why = "Scheduling must have preemptible be false when OnHostMaintenance isn't TERMINATE."
        raise invalid(f"{_FIELD}.preemptible", "true", why)
    if gpus and full["onHostMaintenance"] != "TERMINATE":
        raise bad_request("Instances with guest accelerators do not support live migration.")
    _check_limit(full, spot=spot, preemptible=preemptible)
    return full


def _check_limit(full: Json, *, spot: bool, preemptible: bool) -> None:
    limited = "maxRunDuration" in full or "terminationTime" in full
    action = full.get("instanceTerminationAction")
    if "maxRunDuration" in full and "terminationTime" in full:
        raise invalid(f"{_FIELD}.terminationTime", "", "maxRunDuration is specified as well.")
    if "maxRunDuration" in full:
        seconds = int(full["maxRunDuration"].get("seconds", 0))
        if not SHORTEST <= seconds <= LONGEST:
            why = f"The duration must be between {SHORTEST} and {LONGEST} seconds."
            raise invalid(f"{_FIELD}.maxRunDuration.seconds", seconds, why)
    if limited and preemptible and not spot:
        why = "Preemptible VMs of the old kind take no time limit; use a Spot VM."
        raise invalid(f"{_FIELD}.maxRunDuration", "", why)
    if limited and action is None:
        why = "It must be specified together with a time limit."
        raise invalid(f"{_FIELD}.instanceTerminationAction", "", why)
    if action is not None and not (limited or spot):
        why = "It can be specified for Spot VMs and VMs with a time limit only."
        raise invalid(f"{_FIELD}.instanceTerminationAction", action, why)
    if action == "DELETE" and full["automaticRestart"] and not limited:
        raise invalid(f"{_FIELD}.automaticRestart", "true", "The VM is deleted at termination.")


def ends_at(scheduling: Json, started: datetime) -> datetime | None:
    """When a run that began then will be ended by Google; None without a limit."""
    limit = scheduling.get("maxRunDuration")
    if limit is not None:
        return started + timedelta(
            seconds=int(limit.get("seconds", 0)), microseconds=int(limit.get("nanos", 0)) // 1000
        )
    if "terminationTime" in scheduling:
        return datetime.fromisoformat(scheduling["terminationTime"])
    if scheduling["preemptible"] and scheduling["provisioningModel"] != "SPOT":
        return started + LEGACY_LIFE
    return None
