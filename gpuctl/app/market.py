"""`offers`: what can be had now, where, at what price, and why not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gpuctl.app import App
from gpuctl.app.gather import Silence, ask
from gpuctl.config.template import Template
from gpuctl.core.kinds import Market
from gpuctl.core.model import Offer, Want
from gpuctl.core.ports import CloudRef, Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """Available ones first, cheapest first; then what cannot be had, with the reason."""

    offers: tuple[Offer, ...]
    silent: tuple[Silence, ...]


def offers(app: App, templates: Sequence[Template], markets: Sequence[Market]) -> Offers:
    """Ask every account that the templates name, at once."""
    by_ref: dict[CloudRef, list[Want]] = {}
    for template in templates:
        ref = app.clouds.of(template.provider, None)
        want = template.want()
        by_ref.setdefault(ref, []).append(
            replace(want, markets=tuple(markets) or want.markets, name=None)
        )

    def question(provider: Provider) -> Sequence[Offer]:
        wants = next(w for ref, w in by_ref.items() if ref.provider == provider.name)
        return [offer for want in _merged(wants) for offer in provider.offers(want)]

    with app.progress.step("asking the clouds"):
        answers = ask(list(by_ref), app.clouds.connect, question)
    found = {_key(offer): offer for listed in answers.by_cloud.values() for offer in listed}
    ranked = sorted(
        found.values(),
        key=lambda offer: (
            not offer.available,
            offer.hourly is None,
            offer.hourly or 0,
            offer.provider,
            offer.zone,
            offer.type,
        ),
    )
    return Offers(offers=tuple(ranked), silent=answers.silent)


def _key(offer: Offer) -> tuple[object, ...]:
    return offer.provider, offer.zone, offer.region, offer.type, offer.market, offer.gpu


def _merged(wants: Sequence[Want]) -> Sequence[Want]:
    """One question for all templates that differ in their types alone."""
    merged: dict[tuple[object, ...], Want] = {}
    for want in wants:
        key = (want.markets, want.regions, want.zones, want.accelerator)
        known = merged.get(key)
        if known is None:
            merged[key] = replace(want, max_hourly=None)
        else:
            types = tuple(dict.fromkeys([*known.types, *want.types]))
            merged[key] = replace(known, types=types)
    return list(merged.values())
