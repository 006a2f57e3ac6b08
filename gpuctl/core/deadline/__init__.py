"""Jobs with a deadline on spot and on-demand machines: policies, their simulation, the optimum.

Everything here is pure. Times are whole seconds, prices shares of the on-demand price, so that a
policy needs neither a clock nor a currency; `docs/deadlines.md` tells the model and its limits.
"""
