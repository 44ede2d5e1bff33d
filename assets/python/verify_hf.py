#!/usr/bin/env python3
"""Asks `transformers` (of a CaiT, and of what `timm` describes, `timm`) what a model directory computes and compares it with what ligo computed.

    python verify_hf.py MODEL_DIR DUMP.safetensors [--tolerance 1e-4] [--class BertForMaskedLM]

The class is the one that computes what ligo does; the one in config.json may be a body without a head, or have the head of another task.

DUMP holds `input_ids` and, where they were used, `attention_mask` and `token_type_ids`, or `pixel_values`; with `logits`
and optionally `hidden.0`, `hidden.1`, ... (0: after the embeddings, k: after layer k and before any final norm).
One line of JSON goes to standard output.

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

INPUTS = ("input_ids", "attention_mask", "token_type_ids", "pixel_values")

# The normalization behind the last layer, or the projection: `transformers` lists its output as the last hidden state, ligo its input.
FINAL_NORMS = (
    "transformer.ln_f", "gpt_neox.final_layer_norm", "model.norm", "model.decoder.final_layer_norm",
    "model.decoder.project_out", "vit.layernorm", "deit.layernorm",
)


def load_cait(model_dir, _):
    """A CaiT is not in `transformers`; `timm` is its reference."""
    import timm.models.cait

    with open(os.path.join(model_dir, "config.json")) as file:
        config = json.load(file)
    labels = len(config["id2label"]) if "id2label" in config else config.get("num_labels", 2)
    width, inner = config["hidden_size"], config["intermediate_size"]
    model = timm.models.cait.Cait(
        img_size=config.get("image_size", 224),
        patch_size=config.get("patch_size", 16),
        in_chans=config.get("num_channels", 3),
        num_classes=labels,
        embed_dim=width,
        depth=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        mlp_ratio=inner / width,
        qkv_bias=config.get("qkv_bias", True),
        init_values=config.get("init_values", 1e-5),
        depth_token_only=config.get("depth_token_only", 2),
        mlp_ratio_token_only=config.get("intermediate_size_token_only", inner) / width,
    )
    weights = load_file(os.path.join(model_dir, "model.safetensors"))
    keys = model.load_state_dict({name: weight.float() for name, weight in weights.items()}, strict=False)
    return model.eval(), {"missing_keys": keys.missing_keys, "unexpected_keys": keys.unexpected_keys, "mismatched_keys": []}


def load_timm(model_dir, _):
    """What `timm` makes of its own `config.json`."""
    import timm

    model = timm.create_model(f"local-dir:{model_dir}")
    weights = load_file(os.path.join(model_dir, "model.safetensors"))
    shapes = {name: weight.shape for name, weight in model.state_dict().items()}
    mismatched = [name for name, weight in weights.items() if name in shapes and weight.shape != shapes[name]]
    weights = {name: weight.float() for name, weight in weights.items() if name not in mismatched}
    keys = model.load_state_dict(weights, strict=False)
    missing = [name for name in keys.missing_keys if name not in mismatched]
    return model.eval(), {"missing_keys": missing, "unexpected_keys": keys.unexpected_keys, "mismatched_keys": mismatched}


@torch.no_grad()
def compute_timm(model, inputs):
    hidden = []
    handles = [block.register_forward_pre_hook(lambda _, args: hidden.append(args[0])) for block in model.blocks[:1]]
    handles += [block.register_forward_hook(lambda _, args, out: hidden.append(out)) for block in model.blocks]
    logits = model(inputs["pixel_values"])
    for handle in handles:
        handle.remove()
    tensors = {f"hidden.{index}": state for index, state in enumerate(hidden)}
    tensors["logits"] = logits.unsqueeze(1)
    return tensors


def loader_of_timm(model_dir):
    """How a model is loaded that `transformers` does not have; nothing for all others."""
    with open(os.path.join(model_dir, "config.json")) as file:
        config = json.load(file)
    if "model_type" not in config and "architecture" in config:
        return load_timm
    return load_cait if config.get("model_type") == "cait" else None


def load(model_dir, class_name):
    """The model in f32 with eager attention, and what `transformers` had to say about its keys."""
    config = transformers.AutoConfig.from_pretrained(model_dir)
    named = (config.architectures or [""])[0]
    if class_name and not named.endswith("ForPreTraining"):  # which computes the same, and has a use for all that is there
        named = class_name
    loader = getattr(transformers, named, None) or transformers.AutoModelForMaskedLM
    settings = dict(
        dtype=torch.float32,
        attn_implementation="eager",
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # so that they are listed instead of raised
    )
    model, info = loader.from_pretrained(model_dir, **settings)
    missing = info["missing_keys"]
    if missing and all(key.startswith("pooler.") for key in missing):  # a body that was saved without one
        model, info = loader.from_pretrained(model_dir, add_pooling_layer=False, **settings)
    return model.eval(), info


def logits_of(output):
    if hasattr(output, "start_logits"):
        return torch.stack([output.start_logits, output.end_logits], dim=-1)
    if hasattr(output, "last_hidden_state"):  # no head
        return output.last_hidden_state
    if type(output).__name__ == "ElectraForPreTrainingOutput":  # a number for each token
        return output.logits.unsqueeze(-1)
    logits = output.logits if hasattr(output, "logits") else output.prediction_logits
    return logits.unsqueeze(1) if logits.dim() == 2 else logits  # classes: one row for each text or image


@torch.no_grad()
def compute(model, inputs):
    modules = dict(model.named_modules())
    last = {}
    for name in FINAL_NORMS:
        if name in modules:
            modules[name].register_forward_pre_hook(lambda _, args: last.setdefault("hidden", args[0]))
    output = model(**inputs, output_hidden_states=True)
    tensors = {f"hidden.{index}": hidden for index, hidden in enumerate(output.hidden_states)}
    if last:
        tensors[f"hidden.{len(output.hidden_states) - 1}"] = last["hidden"]
    tensors["logits"] = logits_of(output)
    return tensors


def difference(name, ours, theirs, mask=None):
    """Largest absolute difference; raises where the shapes differ.

    Padding is left out: nothing reads what is computed there, and where its window holds nothing but padding, versions of `transformers` differ.
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"{name}: ligo has shape {list(ours.shape)}, transformers {list(theirs.shape)}")
    gap = (ours.float() - theirs).abs()
    if mask is not None and gap.shape[:2] == mask.shape:
        gap = gap[mask.bool()]
    return gap.max().item()


def number(value):
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def names(keys):
    return sorted(key if isinstance(key, str) else str(key[0]) for key in keys)


def verify(model_dir, dump_file, tolerance, class_name):
    dump = load_file(dump_file)
    of_timm = loader_of_timm(model_dir)
    reference = compute_timm if of_timm else compute
    model, info = (of_timm or load)(model_dir, class_name)
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
    if of_timm:
        report["timm"] = sys.modules["timm"].__version__
    keys_agree = not (report["missing"] or report["unexpected"] or report["mismatched"])
    inputs = {name: dump[name] for name in INPUTS if name in dump}
    theirs = reference(model, inputs)
    mask = inputs.get("attention_mask")
    hidden = sorted((n for n in dump if n.startswith("hidden.")), key=lambda n: int(n.split(".")[1]))
    for name in hidden:
        if name not in theirs:
            raise ValueError(f"the dump holds {name}, the model has {len(theirs) - 2} layers")
        report["per_layer"].append({"name": name, "max_abs_diff": number(difference(name, dump[name], theirs[name], mask))})
    worst = difference("logits", dump["logits"], theirs["logits"], mask)
    report["max_abs_diff"] = number(worst)
    return report, keys_agree and worst <= tolerance


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model_dir")
    parser.add_argument("dump")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest allowed logit difference")
    parser.add_argument("--class", dest="class_name", help="the class of transformers that computes what ligo does")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        report, agrees = verify(arguments.model_dir, arguments.dump, arguments.tolerance, arguments.class_name)
    except ImportError as error:
        print(json.dumps({"error": f"cannot import {error.name}"}))
        sys.exit(3)
    except Exception as error:  # whatever the loader says about a broken directory is the finding
        report, agrees = {"error": f"{type(error).__name__}: {error}", "transformers": transformers.__version__}, False
    print(json.dumps(report))
    sys.exit(0 if agrees else 1)


if __name__ == "__main__":
    main()
