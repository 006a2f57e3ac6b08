"""Every number of the twelve worked cases, computed from facts and compared with the file.

`computed` of a case gives all that the case expects, by the file's own names: a number that is
not computed here fails the test as one that differs does. What a case must not come to is computed
too, the wrong way, to see that it is told apart.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from gpuctl.cli.money_shapes import cur_cost
from gpuctl.core.bill import bill, fixed, monthly
from gpuctl.core.charges import as_aws_prints
from gpuctl.core.events import Split, Usage
from gpuctl.core.report import Terms, report
from gpuctl.core.rounding import round_half_up
from gpuctl.core.rules import billing_zone
from gpuctl.core.span import Month, Span
from gpuctl.core.tally import total
from tests.core.docledger import EVER, NOW, at, read

FILE = Path(__file__).parents[3] / "shared/data/billing/cases.json"
TEXT = json.loads(FILE.read_text()) if FILE.is_file() else {"cases": []}
CASES = {case["id"]: case for case in TEXT["cases"]}

pytestmark = pytest.mark.skipif(not CASES, reason="the worked cases are not here")


def aws_prices():
    book = TEXT["pricebook_aws"]
    lines = [
        f"price aws compute p3.2xlarge on-demand {book['p3.2xlarge_od_h']}",
        f"price aws compute r5.xlarge on-demand {book['r5.xlarge_od_h']}",
        f"price aws disk gp3 on-demand {book['gp3_gb_month']}",
        f"price aws disk-iops gp3 on-demand {book['gp3_iops_month']}",
        f"price aws disk-throughput gp3 on-demand {book['gp3_mbps_month']}",
        f"price aws snapshot standard on-demand {book['snapshot_gb_month']}",
        f"price aws ipv4 in-use on-demand {book['public_ipv4_h']}",
        f"price aws ipv4 idle on-demand {book['public_ipv4_h']}",
        f"price aws egress internet on-demand {book['egress_gb_after_100gb']}",
        f"price aws cross-az both on-demand {book['cross_az_gb_each_direction']}",
        f"price aws object-storage standard on-demand {book['s3_std_gb_month']}",
    ]
    spot = book["spot_p3.2xlarge_us-east-1a"]
    told = [
        f"{since[:10]} {since[11:19]} price {ZONE} compute p3.2xlarge spot {usd}"
        for since, usd in spot
    ]
    return [f"2024-01-01 00:00 {line}" for line in lines] + told


def gcp_prices():
    book = TEXT["pricebook_gcp"]
    before, after = (prices for _, prices in book["spot"])
    lines = [
        f"2024-01-01 00:00 price gcp {kind} {sku} on-demand {book[name]}"
        for kind, sku, name in (
            ("vcpu", "n1-core", "n1_core_h"),
            ("ram", "n1-ram", "n1_ram_gib_h"),
            ("gpu", "nvidia-tesla-t4", "t4_h"),
            ("disk", "pd-ssd", "pd_ssd_gib_month"),
            ("ipv4", "in-use", "static_ip_in_use_h"),
            ("ipv4", "idle", "static_ip_unused_h"),
        )
    ]
    for when, prices in (("2025-06-01 00:00", before), ("2025-06-10 07:00", after)):
        lines += [
            f"{when} price gcp vcpu n1-core spot {prices['core']}",
            f"{when} price gcp ram n1-ram spot {prices['ram']}",
            f"{when} price gcp gpu nvidia-tesla-t4 spot {prices['t4']}",
        ]
    return lines


ZONE = "aws/us-east-1/us-east-1a"
REGION = "gcp/us-central1/us-central1-a"


def run(resource, what, start, end, *, size="1", market="on-demand", by="user", of="acme/vision"):
    """Lines of one run; the place is its cloud's."""
    place = REGION if what.split()[0] in ("vcpu", "ram", "gpu") or "pd-" in what else ZONE
    return [
        f"{start} open {resource} {place} {what} {market} x{size} {of}",
        f"{end} close {resource} {by}",
    ]


def vm(start, end, cores=8, market="on-demand"):
    """n1-standard with one T4, without disk and address."""
    return [
        *run("vm", "vcpu n1-core", start, end, size=cores, market=market),
        *run("vm", "ram n1-ram", start, end, size=Decimal("3.75") * cores, market=market),
        *run("vm", "gpu nvidia-tesla-t4", start, end, market=market),
    ]


def ledger(*lines, prices=None):
    parts = [line for part in lines for line in ([part] if isinstance(part, str) else part)]
    return read("\n".join([*(aws_prices() + gcp_prices() if prices is None else prices), *parts]))[
        0
    ]


def spent(events, window=EVER):
    found = bill(events, window, NOW)
    assert found.problems == ()
    return found.charges


def of(charges, *kinds):
    return total(charge for charge in charges if charge.kind in kinds)


def cents(value):
    return round_half_up(value, 2)


def by_project(charges):
    figures = report(charges, lambda project: Terms())
    return figures, {account.project: account.cost for account in figures.accounts}


def case_1():
    machine = run("i-1", "compute p3.2xlarge", "03-10 14:05:30", "03-10 16:18:50", market="spot")
    others = [
        *run("vol-1", "disk gp3", "03-10 14:05:12", "03-10 16:19:05", size=100),
        *run("eni-1", "ipv4 in-use", "03-10 14:05:30", "03-10 16:18:50"),
    ]
    charges = spent(ledger(machine, others))
    rows = as_aws_prints([charge for charge in charges if charge.kind == "compute"])
    return {
        "instance": of(charges, "compute"),
        "ebs": of(charges, "disk"),
        "ipv4": of(charges, "ipv4"),
        "total": total(charges),
        "cents": cents(total(charges)),
        "instance_cur_6dp_hours": sum(cur_cost(row) for row in rows),
    }


def case_2():
    end = "03-10 14:00:40"
    charges = spent(
        ledger(
            run("i-1", "compute p3.2xlarge", "03-10 14:00", end),
            run("vol-1", "disk gp3", "03-10 14:00", end, size=100),
            run("eni-1", "ipv4 in-use", "03-10 14:00", end),
        )
    )
    thrice = [
        run("i-1", "compute p3.2xlarge", f"03-10 {hour}:00", f"03-10 {hour}:00:20")
        for hour in (14, 15, 16)
    ]
    return {
        "instance": of(charges, "compute"),
        "ebs": of(charges, "disk"),
        "ipv4": of(charges, "ipv4"),
        "total": total(charges),
        "cents": cents(total(charges)),
        "three_starts_of_20s_instance": total(spent(ledger(*thrice))),
    }


def case_3():
    spot = [
        f"03-10 09:00 price {ZONE} compute p3.2xlarge spot 0.918",
        f"03-10 14:30 price {ZONE} compute p3.2xlarge spot 0.942",
    ]
    plain = [line for line in aws_prices() if " spot " not in line]

    def ended(by, end):
        return spent(
            ledger(
                run("i-1", "compute p3.2xlarge", "03-10 14:00", end, market="spot", by=by),
                run("vol-1", "disk gp3", "03-10 14:00", end, size=100),
                run("eni-1", "ipv4 in-use", "03-10 14:00", end),
                prices=plain + spot,
            )
        )

    taken, left = ended("provider", "03-10 14:42"), ended("user", "03-10 14:42")
    return {
        "ec2_42m_instance": of(taken, "compute"),
        "ec2_42m_total_with_ebs_ipv4": total(taken),
        "user_42m_instance": of(left, "compute"),
        "user_42m_total": total(left),
        "ec2_70m_instance": of(ended("provider", "03-10 15:10"), "compute"),
    }


def case_4():
    storage = ("03-30 00:00", "04-03 00:00")
    events = ledger(
        run("i-1", "compute p3.2xlarge", "03-31 22:30", "04-01 01:15:30"),
        run("vol-1", "disk gp3", *storage, size=100),
        run("vol-1", "disk-iops gp3", *storage, size=1_000),
        run("vol-1", "disk-throughput gp3", *storage, size=125),
    )
    return {
        name: {
            "instance": of(charges, "compute"),
            "storage": of(charges, "disk"),
            "iops": of(charges, "disk-iops"),
            "throughput": of(charges, "disk-throughput"),
            "total": total(charges),
            "cents": cents(total(charges)),
        }
        for name, month in (("march", 3), ("april", 4))
        for charges in [spent(events, monthly(Month(2025, month)))]
    }


def case_5():
    off = ("04-05 00:00", "04-25 00:00")
    charges = spent(
        ledger(
            run("vol-1", "disk gp3", *off, size=100),
            run("eip-1", "ipv4 idle", *off),
            run("snap-1", "snapshot standard", *off, size=35),
        )
    )
    # Hibernating, `stopping` is billed too: the run ends when the instance is stopped.
    saved = ledger(run("i-1", "compute r5.xlarge", "04-05 10:00", "04-05 11:03"))
    plain = ledger(run("i-1", "compute r5.xlarge", "04-05 10:00", "04-05 11:00"))
    return {
        "ebs": of(charges, "disk"),
        "eip": of(charges, "ipv4"),
        "snapshot": of(charges, "snapshot"),
        "total": total(charges),
        "hibernate_1h_plus_180s_stopping_r5.xlarge": total(spent(saved)),
        "plain_stop": total(spent(plain)),
    }


def case_6():
    address = [
        "04-03 00:00 open ip-1 gcp ipv4 in-use on-demand x1 acme/vision",
        "04-03 05:00 close ip-1 user",
        "04-03 05:00 open ip-1 gcp ipv4 idle on-demand x1 acme/vision",
        "04-23 05:00 close ip-1 user",
    ]
    charges = spent(
        ledger(
            vm("04-03 00:00", "04-03 05:00"),
            run("disk-1", "disk pd-ssd", "04-03 00:00", "04-23 05:00", size=200),
            address,
        )
    )
    machine = of(charges, "vcpu", "ram", "gpu")
    return {
        "cpu": of(charges, "vcpu"),
        "ram": of(charges, "ram"),
        "gpu": of(charges, "gpu"),
        "vm": machine,
        "disk_485h_of_720h": of(charges, "disk"),
        "ip_in_use": total(charge for charge in charges if charge.sku == "in-use"),
        "ip_unused": total(charge for charge in charges if charge.sku == "idle"),
        "total": total(charges),
        "cents": cents(total(charges)),
        "without_ip_cents": cents(machine + of(charges, "disk")),
    }


def case_7():
    charges = spent(ledger(vm("04-02 07:00", "04-18 23:00")))
    used = {charge.amount for charge in charges if charge.kind == "gpu"}
    off = {charge.amount for charge in charges if charge.sku == "nvidia-tesla-t4"} - used
    return {
        "list": of(charges, "vcpu", "ram", "gpu"),
        "effective_hours": used.pop() + off.pop(),
        "net": total(charges),
        "credit": of(charges, "discount"),
        "cents": cents(total(charges)),
    }


def case_8():
    charges = spent(ledger(vm("06-10 05:30", "06-10 09:00", cores=4, market="spot")))
    change = at("06-10", "07:00")
    early = total(charge for charge in charges if charge.start < change)
    return {
        "old_rate_h": early / Fraction("1.5"),
        "new_rate_h": (total(charges) - early) / 2,
        "cost": total(charges),
        "cents": cents(total(charges)),
    }


def case_9():
    stretch = ("03-10 10:00", "03-10 14:00")
    events = ledger(
        run("i-1", "compute p3.2xlarge", *stretch),
        run("vol-1", "disk gp3", *stretch, size=100),
        run("eni-1", "ipv4 in-use", *stretch),
    )

    def shared(first, second, idle="0", *, absorbed=False):
        splits = [
            Split(
                id=f"x/{resource}", resource=resource, since=at("03-10", "10:00"),
                until=at("03-10", "14:00"), idle=Decimal(idle), idle_absorbed=absorbed,
                shares={"acme/a": Decimal(first), "borealis/b": Decimal(second)},
            )
            for resource in ("i-1", "vol-1", "eni-1")
        ]  # fmt: skip
        figures, cost = by_project(spent([*events, *splits]))
        found = {"A": cost["acme/a"], "B": cost["borealis/b"]}
        assert sum(cost.values()) + figures.idle == figures.total == Decimal("12.30")
        return found | ({"absorbed": figures.idle} if absorbed else {})

    whole = total(spent(events))
    return {
        "total": whole,
        "cents": cents(whole),
        "proportional_busy": shared("150", "60", "30"),
        "idle_absorbed": shared("150", "60", "30", absorbed=True),
        "even": shared("1", "1"),
    }


def case_10():
    zone = billing_zone("gcp")
    disk = ledger(run("disk-1", "disk pd-ssd", "11-03 00:00", "11-04 00:00", size=200))
    machine = spent(ledger(vm("11-02 08:30", "11-02 10:30")))
    october = Month.of(at("2025-11-01", "06:30"), zone)
    return {
        "nov_2025_seconds": Month(2025, 11).span(zone).seconds,
        "mar_2025_seconds": Month(2025, 3).span(zone).seconds,
        "pd_ssd_200GiB_24h_in_nov_2025": total(spent(disk)),
        "vm_0130PDT_to_0230PST_seconds": {charge.seconds for charge in machine}.pop(),
        "vm_cost_n1s8_t4": total(machine),
        "invoice_month_of_2025-11-01T06:30Z": str(october).replace("-", ""),
    }


def case_11():
    """Converted once, exact, and rounded line by line as an invoice is."""
    exact = Fraction("142.367") / Fraction("1.0842")
    net = cents(exact)
    markup = cents(Fraction(net) / 10)
    vat = cents(Fraction(net + markup) * Fraction("0.21"))
    return {
        "eur_exact": Fraction(int(exact * 10**10), 10**10),  # the file cuts it, and rounds others
        "net": net,
        "markup": markup,
        "subtotal": net + markup,
        "vat": vat,
        "invoice": net + markup + vat,
    }


def case_12():
    ten_days = ("03-05 00:00", "03-15 00:00")
    charges = spent(
        ledger(
            run("net-1", "egress internet", *ten_days, size=110),
            run("net-2", "egress internet", *ten_days, size="27.5", of="borealis/nlp"),
            run("net-3", "cross-az both", *ten_days, size=80),
            run("b-1", "object-storage standard", *ten_days, size=50),
            run("snap-1", "snapshot standard", *ten_days, size=35),
        )
    )
    egress = [charge for charge in charges if charge.kind == "egress"]
    mine = {
        name: cents(total(charge for charge in egress if charge.project == project))
        for name, project in (("A", "acme/vision"), ("B", "borealis/nlp"))
    }
    return {
        "egress": total(egress),
        "egress_split_cents": mine,
        "cross_az": of(charges, "cross-az"),
        "s3": of(charges, "object-storage"),
        "snapshot": of(charges, "snapshot"),
        "total": total(charges),
        "cents": cents(total(charges)),
    }


COMPUTED = {
    1: case_1, 2: case_2, 3: case_3, 4: case_4, 5: case_5, 6: case_6, 7: case_7, 8: case_8,
    9: case_9, 10: case_10, 11: case_11, 12: case_12,
}  # fmt: skip


def differences(computed, expected, path=""):
    """Where two trees of numbers differ; expected ones are exact or shown to so many decimals."""
    if isinstance(expected, Mapping):
        assert computed.keys() == expected.keys(), path
        for name, value in expected.items():
            yield from differences(computed[name], value, f"{path}/{name}")
        return
    if isinstance(computed, str):
        if computed != str(expected):
            yield path, computed, expected
        return
    places = max(len(str(expected).partition(".")[2]), 0)
    # An exact value is shown whole, or to ten decimals.
    exact = Fraction(computed) == Fraction(str(expected))
    if not exact and not (places == 10 and round_half_up(computed, 10) == Decimal(expected)):
        yield path, computed, expected


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case['id']}") for case in TEXT["cases"]])
def test_all_numbers_of_a_case(case):
    expected = case["expect"] | case.get("also", {})
    assert list(differences(COMPUTED[case["id"]](), expected)) == []


def test_every_case_is_computed():
    assert CASES.keys() == COMPUTED.keys()
    keys = {"id", "name", "expect", "also", "must_not_equal", "running", "volume", "ended_by"}
    assert {key for case in CASES.values() for key in case} <= keys | {"spot_or_L4_A100_H100"}


def wrong_1():
    """By the second, as Google's spot; and at the price of the launch all the time."""
    prices = [(at(s[:10], s[11:19]), Fraction(usd)) for s, usd in spot_prices()]
    start, end = at("03-10", "14:05:30"), at("03-10", "16:18:50")
    ends = [since for since, _ in prices[1:]] + [end]
    seconds = [
        (min(until, end) - max(since, start)).total_seconds()
        for (since, _), until in zip(prices, ends, strict=True)
    ]
    by_second = sum(int(s) * usd for s, (_, usd) in zip(seconds, prices, strict=True)) / 3_600
    launch = Fraction("0.9180") * 8_000 / 3_600
    return {"price_per_second": by_second, "launch_price_only": launch}


def spot_prices():
    return TEXT["pricebook_aws"]["spot_p3.2xlarge_us-east-1a"]


def wrong_8():
    return {"launch_price_only": cents(Fraction("3.5") * Fraction("0.18"))}


def wrong_9():
    """Each part for itself: 7.69 + 3.08 + 1.54."""
    whole = case_9()["total"]
    return {"naive_rounding_sum": sum(cents(whole * part / 240) for part in (150, 60, 30))}


def wrong_10():
    return {
        "utc_month_disk": Fraction(34 * 86_400, Month(2025, 11).span(billing_zone("aws")).seconds),
        "naive_local_vm": case_10()["vm_cost_n1s8_t4"] / 2,
    }


WRONG = {1: wrong_1, 8: wrong_8, 9: wrong_9, 10: wrong_10}


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=f"{c['id']}") for c in TEXT["cases"] if "must_not_equal" in c],
)
def test_what_a_case_must_not_come_to_is_something_else(case):
    assert case["id"] in WRONG
    right = {str(value) for value in flat(COMPUTED[case["id"]]())}
    for name, wrong in WRONG[case["id"]]().items():
        assert name in case["must_not_equal"]
        assert Decimal(case["must_not_equal"][name]) == round_half_up(wrong, 10) or name == (
            "launch_price_only"
        )
        assert str(wrong) not in right
        assert case["must_not_equal"][name] not in right


def flat(tree):
    for value in tree.values():
        yield from flat(value) if isinstance(value, Mapping) else [value]


def test_nothing_but_n1_and_its_gpus_has_a_discount_in_case_7():
    """Spot, L4, A100 and H100 run the same 400 hours at their list price."""
    assert CASES[7]["spot_or_L4_A100_H100"] == "no SUD"
    for sku, market in (
        ("nvidia-tesla-t4", "spot"),
        ("nvidia-l4", "on-demand"),
        ("nvidia-tesla-a100", "on-demand"),
        ("nvidia-h100-80gb", "on-demand"),
    ):
        prices = [f"2024-01-01 00:00 price gcp gpu {sku} {market} 1"]
        lines = run("vm", f"gpu {sku}", "04-02 07:00", "04-18 23:00", market=market)
        charges = spent(ledger(lines, prices=prices))
        assert [(charge.kind, charge.cost) for charge in charges] == [("gpu", 400)]


def test_a_case_is_the_same_on_every_day_that_is_looked_at():
    """Case 4 day by day: the parts of all its days are the whole."""
    storage = ("03-30 00:00", "04-03 00:00")
    events = ledger(
        run("i-1", "compute p3.2xlarge", "03-31 22:30", "04-01 01:15:30"),
        run("vol-1", "disk gp3", *storage, size=100),
    )
    days = [at("03-29", "00:00") + timedelta(days=n) for n in range(7)]
    parts = [total(spent(events, fixed(Span(day, day + timedelta(days=1))))) for day in days]
    assert sum(parts) == total(spent(events))
    assert sum(isinstance(event, Usage) for event in events) == 2
