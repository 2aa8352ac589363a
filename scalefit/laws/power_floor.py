"""The power law in one variable above an irreducible loss."""

from __future__ import annotations

from scalefit.laws.law import Law, Option, Parameter, Published, Variable
from scalefit.laws.power import Power


class PowerFloor(Law):
    """Loss as a power of one variable above an irreducible loss.

        L(x) = L_inf + A x^-alpha

    x is any one column (N, D, C, step ...): ``power-floor:over=C``. Henighan writes A x^-alpha as (x_0/x)^alpha:
    x_0 = A^(1/alpha) is the scale at which the reducible loss is 1 nat.

    Source: arXiv:2010.14701, equation 1.1.
    """

    name = "power-floor"
    source = "arXiv:2010.14701"
    needs = (
        "runs at four or more values of one variable (power: three), over two decades or close to the floor, "
        "all else equal"
    )
    fails = "the floor is hardly determined by runs far above it: give it with fix, and vary it"
    published = (
        Published(
            "arXiv:2010.14701 table 1, image 32x32 L(N)",
            {"L_inf": 2.20, "A": 6.3e1**0.13, "alpha": 0.13},
            (({"x": 1e8}, 2.356284),),
        ),
        Published(
            "arXiv:2010.14701 table 1, image 8x8 L(C), C in PF-days",
            {"L_inf": 3.13, "A": 1.8e-8**0.19, "alpha": 0.19},
            (({"x": 1.0}, 3.163768),),
        ),
        Published(
            "arXiv:2010.14701 table 1, video L(C), C in PF-days",
            {"L_inf": 0.95, "A": 2.2e-5**0.14, "alpha": 0.14},
            (({"x": 1.0}, 1.172813),),
        ),
        Published(
            "arXiv:2010.14701 table 1, math L(N)",
            {"L_inf": 0.28, "A": 1.1e4**0.16, "alpha": 0.16},
            (({"x": 1e8}, 0.512607),),
        ),
    )

    over = Option("", "the column that is x: N, D, C, step, tokens ...")

    x = Variable("any", "the scale that varies: parameters, tokens, compute, steps", span=(1e6, 1e10))

    L_inf = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token x^alpha", "size of the power-law term", linear=True)
    alpha = Parameter("1", "exponent", high=5.0, starts=(0.02, 1.0))

    columns = Power.columns

    @staticmethod
    def formula(x, L_inf, A, alpha):
        return L_inf + A * x**-alpha
