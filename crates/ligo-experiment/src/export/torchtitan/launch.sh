#!/bin/bash
# Starts torchtitan on the grown model, a process for each GPU: ./launch.sh [options of torchtitan].
#
#   ./launch.sh --dump_folder out --parallelism.tensor_parallel_degree 8      a group of 8 shares each layer; those left over share the step
#   NODES=2 NODE=0 ADDRESS=host0 PROCESSES=8 ./launch.sh                      on each of two machines, NODE=1 on the other; PROCESSES of each
#   PROCESSES=2 CPU=1 ./launch.sh                                             two processes on the CPU (gloo), to try it out
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python3}
processes=${PROCESSES:-$("$python" -c 'import torch; print(max(1, torch.cuda.device_count()))')}
if [[ -n ${CPU:-} ]]; then
    export CUDA_VISIBLE_DEVICES=
fi
if [[ ${NODES:-1} -gt 1 ]]; then
    where=(--nnodes "$NODES" --node_rank "${NODE:?}" --master_addr "${ADDRESS:?}" --master_port "${PORT:-29500}")
else
    where=(--standalone)
fi
# All ranks say the same; the first of each machine is heard.
exec "$python" -m torch.distributed.run "${where[@]}" --nproc_per_node "$processes" --local_ranks_filter 0 --role rank --tee 3 \
    "$here/train.py" --module grown --config grown "$@"
