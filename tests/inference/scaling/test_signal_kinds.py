"""Each signal is registered everywhere: see CONTRIBUTING, "Add a scaling signal"."""

from inference.models import PoolSample
from inference.scaling.rehearsal.simulation import Capacity, Moment, SimulatedPool, observe
from inference.scaling.signals.rollup import AVERAGED_COLUMNS
from inference.signal_kinds import MEASURES


def test_every_signal_is_recorded_and_summed_up():
    columns = {field.name for field in PoolSample._meta.get_fields()}

    assert set(MEASURES) <= columns
    assert set(MEASURES) <= set(AVERAGED_COLUMNS)


def test_a_rehearsal_has_every_signal_that_needs_no_query():
    seen = observe(
        SimulatedPool(replicas=1, ready=1),
        Moment(at=0.0, arrivals=1.0),
        Capacity(requests_per_second=1.0, slots=1.0),
    )

    own = {name for name, measure in MEASURES.items() if not measure.uses_prometheus}
    assert own <= set(seen.readings)
