"""What a job will cost and when it will be done, before it begins: `gpuctl quote`.

Everything here is pure. What is random is drawn from a function that the caller gives; the same
facts and the same draws give the same quote. `docs/quotes.md` has the model, its check against
recorded markets, and its limits.
"""
