"""What holds for all tests: no example of hypothesis is judged by the time that it takes on a busy machine."""

from hypothesis import HealthCheck, settings

settings.register_profile("scalefit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("scalefit")
