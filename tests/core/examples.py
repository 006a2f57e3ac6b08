"""Properties that say how many examples they hold for, and fail if they saw fewer."""

from hypothesis import given, settings

DECLARED = {}
"""Property -> examples: what all modules that were imported promise together."""


def holds(examples, **strategies):
    """`@given` with a number that is kept: the test fails when fewer examples were tried."""

    def decorate(test):
        seen = []

        @settings(max_examples=examples)
        @given(**strategies)
        def example(**drawn):
            seen.append(1)
            test(**drawn)

        example.__name__ = example.__qualname__ = test.__name__
        example.__module__, example.__doc__ = test.__module__, test.__doc__

        def run():
            seen.clear()
            example()
            assert len(seen) >= examples, f"{len(seen)} examples of {examples}"

        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        DECLARED[f"{test.__module__}.{test.__name__}"] = examples
        return run

    return decorate
