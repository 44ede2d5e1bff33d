"""Trains a model that `ligo` has grown, with Hugging Face Accelerate: the same tokens in the same order, the same masks, schedule and update rule
as `ligo train`. Settings are in ligo.json and rates.f64 beside this file, batches in tokens.py. Written by `ligo export`; needs torch, transformers,
accelerate and numpy.

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

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from tokens import Batches

HERE = Path(__file__).resolve().parent


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
