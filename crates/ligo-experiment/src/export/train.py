"""Trains a model that `ligo` has grown, with Hugging Face Accelerate: the same tokens in the same order, the same masks, schedule and update rule
as `ligo train`. Settings are in ligo.json and rates.f64 beside this file. Written by `ligo export`; needs torch, transformers, accelerate, numpy.

    ./launch.sh                      one process for each GPU
    PROCESSES=2 CPU=1 ./launch.sh    two processes on the CPU

The same command again goes on from the last checkpoint in OUT (--out OUT, `run` by default), with any number of processes that divides
`accumulation`. Dropout draws from PyTorch's generator, so with dropout losses agree with those of `ligo` on the average only.
"""

import argparse
import json
import struct
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

HERE = Path(__file__).resolve().parent
WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
MASKS = 0x6D61736B
ROUNDS = 8


def mix(word):
    """The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & WORD
    return word ^ (word >> 31)


def key(*coordinates):
    state = GOLDEN
    for word in coordinates:
        state = mix(((state + GOLDEN) & WORD) ^ mix((word + GOLDEN) & WORD))
    return state


class Stream:
    """Random numbers that begin at a key."""

    def __init__(self, start):
        self.state = start

    def next(self):
        self.state = (self.state + GOLDEN) & WORD
        return mix(self.state)

    def unit(self):
        return (self.next() >> 11) / (1 << 53)

    def below(self, bound):
        return (self.next() * bound) >> 64


class Order:
    """The order of samples: in each epoch a permutation by a Feistel network (Black and Rogaway, CT-RSA 2002)."""

    def __init__(self, seed, samples):
        self.seed, self.samples = seed, samples
        self.half = max(1, -(-(samples - 1).bit_length() // 2))
        self.epoch, self.keys = None, []

    def at(self, place):
        """Epoch and sample of the place in the row of all samples of all epochs."""
        epoch, index = divmod(place, self.samples)
        if epoch != self.epoch:
            self.epoch, self.keys = epoch, [key(self.seed, epoch, i) for i in range(ROUNDS)]
        if self.samples < 2:
            return epoch, index
        mask = (1 << self.half) - 1
        while True:
            left, right = index >> self.half, index & mask
            for round_key in self.keys:
                left, right = right, left ^ (mix(right ^ round_key) & mask)
            index = (left << self.half) | right
            if index < self.samples:
                return epoch, index


class Batches:
    """Micro-batches of a token store, each a function of its place alone."""

    def __init__(self, settings):
        self.settings = settings
        self.tokens = np.memmap(settings["tokens"], dtype={"u16": "<u2", "u32": "<u4"}[settings["dtype"]], mode="r")
        self.length, self.seed = settings["seq_len"], settings["data_seed"]
        self.masked = settings.get("masking")
        special = set(settings["special_ids"])
        self.special = special
        self.ordinary = [token for token in range(settings["vocab_size"]) if token not in special] if self.masked else []
        stride = self.length - 2 if self.masked else self.length
        beyond = 0 if self.masked else 1
        self.stride, self.order = stride, Order(self.seed, (len(self.tokens) - beyond) // stride)

    def micro_batch(self, number):
        """Inputs and labels of the micro-batch with this number in the run; -100 where nothing is to be predicted."""
        size = self.settings["batch_size"]
        rows = [self.row(*self.order.at(number * size + i)) for i in range(size)]
        inputs, labels = zip(*rows)
        return torch.tensor(inputs), torch.tensor(labels)

    def row(self, epoch, sample):
        begin = sample * self.stride
        if not self.masked:
            window = self.tokens[begin : begin + self.length + 1].tolist()
            return window[:-1], window[1:]
        ids = [self.masked["cls"], *self.tokens[begin : begin + self.stride].tolist(), self.masked["sep"]]
        labels = [-100] * len(ids)
        stream = Stream(key(MASKS, self.seed, epoch, sample))
        eligible = [at for at, token in enumerate(ids) if token not in self.special]
        if not eligible:
            return ids, labels
        chosen = [at for at in eligible if stream.unit() < self.masked["rate"]]
        for at in chosen or [eligible[stream.below(len(eligible))]]:
            labels[at], draw = ids[at], stream.unit()
            if draw < self.masked["mask_share"]:
                ids[at] = self.masked["mask"]
            elif draw < self.masked["mask_share"] + self.masked["random_share"]:
                ids[at] = self.ordinary[stream.below(len(self.ordinary))]
        return ids, labels


def decay_of(name, known):
    """Whether a parameter decays; `ligo` has the parts of a fused one, such as c_attn's query, key and value, by names below its own."""
    if name in known:
        return known[name]
    module, _, kind = name.rpartition(".")
    parts = {decay for part, decay in known.items() if part.startswith(f"{module}.") and part.endswith(f".{kind}")}
    return parts.pop() if len(parts) == 1 else None


def optimizer_of(model, settings):
    """AdamW, with weight decay for the parameters that decay in `ligo`."""
    decays = {name: decay_of(name, settings["decay"]) for name, _ in model.named_parameters()}
    unknown = [name for name, decay in decays.items() if decay is None]
    if unknown:
        raise SystemExit(f"ligo.json does not know the parameters {unknown}: is this the model that was exported?")
    numbers = settings["optimizer"]
    groups = [
        {"params": [p for name, p in model.named_parameters() if decays[name] == decay], "weight_decay": rate}
        for decay, rate in [(True, numbers["weight_decay"]), (False, 0.0)]
    ]
    betas = (numbers["beta1"], numbers["beta2"])
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0, betas=betas, eps=numbers["eps"])


def step_of(accelerator, model, optimizer, batches, settings, step):
    """One optimizer step; the mean loss over all labels of it, before the update."""
    total = settings["accumulation"]
    each = total // accelerator.num_processes
    first = step * total + each * accelerator.process_index
    mine = [batches.micro_batch(first + i) for i in range(each)]
    labels = torch.tensor(float(sum((labels != -100).sum() for _, labels in mine)), device=accelerator.device)
    labels = accelerator.reduce(labels, "sum").item()
    loss_sum = torch.zeros((), device=accelerator.device)
    for i, (inputs, targets) in enumerate(mine):
        inputs, targets = inputs.to(accelerator.device), targets.to(accelerator.device)
        last = i + 1 == each
        with nullcontext() if last else accelerator.no_sync(model):
            logits = model(input_ids=inputs).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="sum") / labels
            # Gradients are averaged over the processes, and each has its part of the sum.
            accelerator.backward(loss * accelerator.num_processes)
        loss_sum += loss.detach()
    norm = accelerator.clip_grad_norm_(model.parameters(), settings["clip_norm"] or float("inf"))
    optimizer.step()
    optimizer.zero_grad()
    return accelerator.reduce(loss_sum, "sum").item(), float(norm)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, default=HERE / "run", help="where losses, checkpoints and the model go")
    arguments.add_argument("--steps", type=int, help="end after so many steps in all; the schedule stays as it is")
    given = arguments.parse_args()
    settings = json.loads((HERE / "ligo.json").read_text())
    rates = (HERE / "rates.f64").read_bytes()
    rates = struct.unpack(f"<{len(rates) // 8}d", rates)
    accelerator = Accelerator(mixed_precision="bf16" if settings["precision"] == "bf16" else "no")
    if settings["accumulation"] % accelerator.num_processes:
        raise SystemExit(f"{accelerator.num_processes} processes cannot share {settings['accumulation']} micro-batches evenly")
    torch.set_float32_matmul_precision("high" if settings["precision"] == "tf32" else "highest")
    set_seed(settings["seed"])
    kind = AutoModelForMaskedLM if settings.get("masking") else AutoModelForCausalLM
    model = kind.from_pretrained(settings["model"], dtype=torch.float32)
    model.train()
    optimizer = optimizer_of(model, settings)
    model, optimizer = accelerator.prepare(model, optimizer)
    batches = Batches(settings)
    checkpoints, step = given.out / "checkpoints", 0
    saved = sorted(int(folder.name[5:]) for folder in checkpoints.glob("step-*") if (folder / "whole").exists())
    if saved:
        step = saved[-1]
        accelerator.load_state(str(checkpoints / f"step-{step}"))
    given.out.mkdir(parents=True, exist_ok=True)
    end = min(len(rates), given.steps or len(rates))
    while step < end:
        began = time.time()
        for group in optimizer.param_groups:
            group["lr"] = rates[step]
        loss, norm = step_of(accelerator, model, optimizer, batches, settings, step)
        step += 1
        if accelerator.is_main_process and step % settings["log_every"] == 0:
            line = {"step": step, "loss": loss, "grad_norm": norm, "lr": rates[step - 1], "seconds": time.time() - began}
            with open(given.out / "metrics.jsonl", "a") as log:
                log.write(json.dumps(line) + "\n")
            accelerator.print(f"step {step} of {end}: loss {loss:.6f}")
        every = settings["checkpoint_every"]
        if step == end or (every and step % every == 0):
            folder = checkpoints / f"step-{step}"
            accelerator.save_state(str(folder))
            accelerator.wait_for_everyone()
            if accelerator.is_main_process:
                (folder / "whole").touch()
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        accelerator.unwrap_model(model).save_pretrained(given.out / "model")
    accelerator.end_training()


if __name__ == "__main__":
    main()
