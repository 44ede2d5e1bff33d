#!/bin/bash
# Starts train.py with Hugging Face Accelerate, a process for each GPU: ./launch.sh [--out OUT] [--steps N].
#
#   PROCESSES=2 CPU=1 ./launch.sh                                   two processes on the CPU (gloo)
#   NODES=2 NODE=0 ADDRESS=host0 PROCESSES=8 ./launch.sh            on each of two machines, NODE=1 on the other; PROCESSES of each
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python3}
processes=${PROCESSES:-$("$python" -c 'import torch; print(max(1, torch.cuda.device_count()))')}
if [[ -n ${CPU:-} ]]; then
    export ACCELERATE_USE_CPU=true CUDA_VISIBLE_DEVICES=
fi
# What `accelerate launch` calls as well; Accelerate takes ranks and addresses from it.
if [[ ${NODES:-1} -gt 1 ]]; then
    where=(--nnodes "$NODES" --node_rank "${NODE:?}" --master_addr "${ADDRESS:?}" --master_port "${PORT:-29500}")
else
    where=(--standalone)
fi
exec "$python" -m torch.distributed.run "${where[@]}" --nproc_per_node "$processes" "$here/train.py" "$@"
