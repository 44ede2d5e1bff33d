"""The PyTorch side of the `bert-step` bench: eager, scaled_dot_product_attention, fused AdamW.

Arguments: layers hidden ffn heads vocab batch length masked threads. Prints one line about itself, then for every line
with a number on stdin runs that many steps and prints a line of their seconds and one of their losses.
"""

import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

LAYERS, HIDDEN, FFN, HEADS, VOCAB, BATCH, LENGTH, MASKED, THREADS = map(int, sys.argv[1:10])
EPS = 1e-12
torch.set_num_threads(THREADS)


def bits(seed, count):
    """32 well-mixed bits of (seed, index), the same as the Rust side's."""
    h = np.arange(count, dtype=np.uint32) ^ np.uint32(seed * 0x9E3779B1 & 0xFFFFFFFF)
    h = h + np.uint32(0x7F4A7C15)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B)
    return h ^ (h >> np.uint32(16))


class Parameters:
    """All parameters, in the order in which the Rust side creates them."""

    def __init__(self):
        self.all = []

    def noise(self, *shape):
        unit = bits(len(self.all), int(np.prod(shape))).astype(np.float64) / 4294967296.0
        return self._add(torch.tensor(((unit - 0.5) * 0.07).astype(np.float32)).reshape(shape))

    def _add(self, value):
        self.all.append(value.requires_grad_())
        return value

    def norm(self):
        return self._add(torch.ones(HIDDEN)), self._add(torch.zeros(HIDDEN))

    def dense(self, out, inner):
        return self.noise(out, inner), self._add(torch.zeros(out))

    def bias(self, size):
        return self._add(torch.zeros(size))


p = Parameters()
words, places = p.noise(VOCAB, HIDDEN), p.noise(LENGTH, HIDDEN)
types = p.bias(HIDDEN)
first_norm = p.norm()
layers = []
for _ in range(LAYERS):
    layers.append({
        "qkvo": [p.dense(HIDDEN, HIDDEN) for _ in range(4)],
        "norm1": p.norm(),
        "up": p.dense(FFN, HIDDEN),
        "down": p.dense(HIDDEN, FFN),
        "norm2": p.norm(),
    })
transform, head_norm, head_bias = p.dense(HIDDEN, HIDDEN), p.norm(), p.bias(VOCAB)

ids = torch.from_numpy((bits(1000, BATCH * LENGTH) % VOCAB).astype(np.int64)).reshape(BATCH, LENGTH)
targets = torch.from_numpy((bits(1001, MASKED) % VOCAB).astype(np.int64))
masked = torch.tensor([i * BATCH * LENGTH // MASKED for i in range(MASKED)])
optimizer = torch.optim.AdamW(p.all, lr=1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, fused=True)


def normalize(x, norm):
    return F.layer_norm(x, (HIDDEN,), *norm, EPS)


def heads(x):
    return x.view(BATCH, LENGTH, HEADS, HIDDEN // HEADS).transpose(1, 2)


def loss_of_batch():
    h = normalize(F.embedding(ids, words) + places + types, first_norm)
    for layer in layers:
        q, k, v = (heads(F.linear(h, *dense)) for dense in layer["qkvo"][:3])
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(BATCH, LENGTH, HIDDEN)
        h = normalize(F.linear(mixed, *layer["qkvo"][3]) + h, layer["norm1"])
        inner = F.gelu(F.linear(h, *layer["up"]))
        h = normalize(F.linear(inner, *layer["down"]) + h, layer["norm2"])
    h = h.view(BATCH * LENGTH, HIDDEN)[masked]
    h = normalize(F.gelu(F.linear(h, *transform)), head_norm)
    return F.cross_entropy(F.linear(h, words, head_bias), targets)


def step():
    optimizer.zero_grad(set_to_none=True)
    loss = loss_of_batch()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(p.all, 1.0)
    optimizer.step()
    return loss.item()


count = sum(x.numel() for x in p.all)
print(f"{torch.__version__}, {count} parameters, {torch.get_num_threads()} threads", flush=True)
for line in sys.stdin:
    seconds, losses = [], []
    for _ in range(int(line)):
        start = time.perf_counter()
        losses.append(step())
        seconds.append(time.perf_counter() - start)
    print(*seconds)
    print(*losses, flush=True)
