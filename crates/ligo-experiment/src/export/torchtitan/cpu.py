"""Lets torchtitan, which wants GPUs, run on processors with gloo: for trying a folder out. Imported before torchtitan. Written by `ligo export`."""

import torch

# torchtitan asks this function once, when it is imported.
torch._utils._get_available_device_type = lambda: "cpu"

from torch.distributed.fsdp import FSDPModule  # noqa: E402
from torchtitan.components import metrics  # noqa: E402
from torchtitan.distributed import utils  # noqa: E402


class NoMemory:
    """Stands where torchtitan watches the memory of a GPU."""

    device_name = "cpu"

    def get_peak_stats(self):
        return metrics.DeviceMemStats(0, 0, 0, 0, 0, 0)

    def reset_peak_stats(self):
        pass


metrics.build_device_memory_monitor = NoMemory
# It numbers the devices of a barrier, and a processor has no number.
utils.set_pg_timeouts = lambda **_: None
set_factor = FSDPModule.set_gradient_divide_factor


def set_factor_for_gloo(self, factor):
    """gloo cannot multiply sums by a factor on their way, not even by 1."""
    set_factor(self, factor)
    self.set_force_sum_reduction_for_comms(True)


FSDPModule.set_gradient_divide_factor = set_factor_for_gloo
