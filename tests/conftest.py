"""What holds for all tests: one thread of linear algebra a worker, and no example judged by the time that it takes.

Two workers on two cores with two threads each cost a quarter more processor time, and gain nothing.
"""

import os

from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy is loaded, which the tests do after this file
settings.register_profile("scalefit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("scalefit")
