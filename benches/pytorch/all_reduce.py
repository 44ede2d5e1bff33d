"""The PyTorch side of the `scaling` bench: gloo's all_reduce between two processes.

Arguments: rounds threads and lengths. Prints the median of the seconds of each length, in a line.
"""

import statistics
import sys
import tempfile
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

ROUNDS, THREADS, *LENGTHS = map(int, sys.argv[1:])


def rank(mine, meeting):
    torch.set_num_threads(THREADS)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=mine, world_size=2)
    medians = []
    for length in LENGTHS:
        start, seconds = torch.rand(length), []
        # The first round finds its memory and is not counted.
        for _ in range(ROUNDS + 1):
            values = start.clone()
            dist.barrier()
            begin = time.perf_counter()
            dist.all_reduce(values)
            dist.barrier()
            seconds.append(time.perf_counter() - begin)
        medians.append(statistics.median(seconds[1:]))
    if mine == 0:
        print(*medians)
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(rank, args=(f"{folder}/meeting",), nprocs=2)
