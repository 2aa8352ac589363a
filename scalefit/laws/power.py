"""The pure power law in one variable."""

from __future__ import annotations

from scalefit.laws.law import Law, Option, Parameter, Published, Variable


class Power(Law):
    """Loss as a power of one variable, with nothing irreducible.

        L(x) = A x^-alpha

    x is any one column (N, D, C, step ...): ``power:over=D``; without ``over`` it is the one of N, D, C that
    varies. Kaplan writes the same law as (x_c/x)^alpha with x_c = A^(1/alpha).

    Source: arXiv:2001.08361, equations 1.1 to 1.3; arXiv:1712.00409.
    """

    name = "power"
    source = "arXiv:2001.08361"
    needs = "runs at three or more values of one variable, over at least a decade, all else equal"
    fails = "bends away from the data near an irreducible loss: compare with power-floor"
    published = (
        Published(
            "arXiv:2001.08361 section 1.2, L(N)", {"A": 8.8e13**0.076, "alpha": 0.076}, (({"x": 1e9}, 2.375640),)
        ),
        Published(
            "arXiv:2001.08361 section 1.2, L(D)", {"A": 5.4e13**0.095, "alpha": 0.095}, (({"x": 22e9}, 2.099168),)
        ),
        Published(
            "arXiv:2001.08361 section 1.2, L(C_min), least compute in PF-days",
            {"A": 3.1e8**0.050, "alpha": 0.050},
            (({"x": 1.0}, 2.658080), ({"x": 1e3}, 1.881777)),
        ),
        Published(
            "arXiv:2010.14701 table 1, language L(C), C in PF-days",
            {"A": 3.47e8**0.048, "alpha": 0.048},
            (({"x": 3.64e3}, 1.733816),),
        ),
        Published(
            "arXiv:2010.14701 table 1, language L(N)",
            {"A": 1.47e14**0.070, "alpha": 0.070},
            (({"x": 1.75e11}, 1.602137),),
        ),
    )

    over = Option("", "the column that is x: N, D, C, step, tokens ...")

    x = Variable("any", "the scale that varies: parameters, tokens, compute, steps", span=(1e6, 1e10))

    A = Parameter("nats/token x^alpha", "size of the power-law term", linear=True)
    alpha = Parameter("1", "exponent", high=5.0, starts=(0.02, 1.0))

    @property
    def columns(self) -> dict[str, str]:
        """x is read from the column that the option ``over`` names."""
        return {"x": self.options["over"] or "x"}

    @staticmethod
    def formula(x, A, alpha):
        return A * x**-alpha
