"""Training on several processes, on one machine or many, each of which computes a part of every batch.

mg.distributed.init()                                   # finds the others, if mpiexec started some
model = mg.distributed.DistributedDataParallel(model)   # equal weights; gradients of the whole batch
loader = mg.distributed.shard(loader)                   # of each batch this rank's share

mpiexec -n 2 python experiments/train_mnist.py --distributed
"""

from minigrad.communicator import Communicator, SingleProcess, Work
from minigrad.distributed.data_parallel import DistributedDataParallel
from minigrad.distributed.place import Place, find_place
from minigrad.distributed.process_group import (
    all_gather,
    all_reduce,
    barrier,
    broadcast,
    broadcast_bytes,
    get_local_rank,
    get_rank,
    get_world_size,
    init,
    is_main,
    main_first,
    separate_random_streams,
)
from minigrad.distributed.sharding import shard
from minigrad.distributed.totals import ReducedTotals

__all__ = [
    "Communicator",
    "DistributedDataParallel",
    "Place",
    "ReducedTotals",
    "SingleProcess",
    "Work",
    "all_gather",
    "all_reduce",
    "barrier",
    "broadcast",
    "broadcast_bytes",
    "find_place",
    "get_local_rank",
    "get_rank",
    "get_world_size",
    "init",
    "is_main",
    "main_first",
    "separate_random_streams",
    "shard",
]
