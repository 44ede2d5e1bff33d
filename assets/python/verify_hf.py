#!/usr/bin/env python3
"""Asks `transformers` what a model directory computes and compares it with what ligo computed.

    python verify_hf.py MODEL_DIR DUMP.safetensors [--tolerance 1e-4]

DUMP holds `input_ids` and, where they were used, `attention_mask` and `token_type_ids`, with `logits` and
optionally `hidden.0`, `hidden.1`, ... (0: after the embeddings). One line of JSON goes to standard output.

Exit codes: 0 everything agrees; 1 a key or a number does not; 3 no torch or transformers here.
"""

import argparse
import json
import math
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a directory on disk needs no network

try:
    import torch
    import transformers
    from safetensors.torch import load_file
except ImportError as error:
    print(json.dumps({"error": f"cannot import {error.name}"}))
    sys.exit(3)

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def load(model_dir):
    """The model in f32 with eager attention, and what `transformers` had to say about its keys."""
    config = transformers.AutoConfig.from_pretrained(model_dir)
    # A pretraining checkpoint carries two more heads: only its own class expects their keys.
    named = (config.architectures or [""])[0]
    loader = transformers.AutoModelForMaskedLM
    if named.endswith("ForPreTraining"):
        loader = transformers.AutoModelForPreTraining
    model, info = loader.from_pretrained(
        model_dir,
        dtype=torch.float32,
        attn_implementation="eager",
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # so that they are listed instead of raised
    )
    return model.eval(), info


@torch.no_grad()
def compute(model, inputs):
    output = model(**inputs, output_hidden_states=True)
    tensors = {f"hidden.{index}": hidden for index, hidden in enumerate(output.hidden_states)}
    tensors["logits"] = output.logits if hasattr(output, "logits") else output.prediction_logits
    return tensors


def difference(name, ours, theirs):
    """Largest absolute difference; raises where the shapes differ."""
    if ours.shape != theirs.shape:
        raise ValueError(f"{name}: ligo has shape {list(ours.shape)}, transformers {list(theirs.shape)}")
    return (ours.float() - theirs).abs().max().item()


def number(value):
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def names(keys):
    return sorted(key if isinstance(key, str) else str(key[0]) for key in keys)


def verify(model_dir, dump_file, tolerance):
    dump = load_file(dump_file)
    model, info = load(model_dir)
    report = {
        "missing": names(info["missing_keys"]),
        "unexpected": names(info["unexpected_keys"]),
        "mismatched": names(info["mismatched_keys"]),
        "max_abs_diff": None,
        "per_layer": [],
        "tolerance": tolerance,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
    }
    keys_agree = not (report["missing"] or report["unexpected"] or report["mismatched"])
    inputs = {name: dump[name].long() for name in INPUTS if name in dump}
    theirs = compute(model, inputs)
    hidden = sorted((n for n in dump if n.startswith("hidden.")), key=lambda n: int(n.split(".")[1]))
    for name in hidden:
        if name not in theirs:
            raise ValueError(f"the dump holds {name}, the model has {len(theirs) - 2} layers")
        report["per_layer"].append({"name": name, "max_abs_diff": number(difference(name, dump[name], theirs[name]))})
    worst = difference("logits", dump["logits"], theirs["logits"])
    report["max_abs_diff"] = number(worst)
    return report, keys_agree and worst <= tolerance


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model_dir")
    parser.add_argument("dump")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest allowed logit difference")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        report, agrees = verify(arguments.model_dir, arguments.dump, arguments.tolerance)
    except Exception as error:  # whatever the loader says about a broken directory is the finding
        report, agrees = {"error": f"{type(error).__name__}: {error}", "transformers": transformers.__version__}, False
    print(json.dumps(report))
    sys.exit(0 if agrees else 1)


if __name__ == "__main__":
    main()
