"""A grown model, its tokens and its settings for torchtitan: `--module grown --config grown`. What is trained is in ligo.json and rates.f64 beside
this file, batches in tokens.py. Written by `ligo export` for torchtitan 0.3.
"""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torchtitan.components.checkpointer import CheckpointManager
from torchtitan.components.dataloader import BaseDataLoader
from torchtitan.components.loss import ChunkedLossWrapper, CrossEntropyLoss
from torchtitan.components.metrics import MetricsProcessor
from torchtitan.components.optimizer import LRSchedulersContainer, OptimizersContainer, ParamGroupConfig
from torchtitan.components.tokenizer import BaseTokenizer
from torchtitan.config import DebugConfig, TrainingConfig
from torchtitan.distributed.pipeline_parallel import pipeline_llm
from torchtitan.models.common import ComplexRoPE, CosSinRoPE, Embedding, Linear, RMSNorm
from torchtitan.models.common.attention import ScaledDotProductAttention
from torchtitan.models.common.config_utils import make_ffn_config, make_gqa_config
from torchtitan.models.common.param_init import skip_param_init
from torchtitan.models.llama3 import parallelize_llama
from torchtitan.models.llama3.model import Llama3Model, Llama3TransformerBlock
from torchtitan.models.llama3.state_dict_adapter import Llama3StateDictAdapter
from torchtitan.models.qwen3 import parallelize_qwen3
from torchtitan.models.qwen3.model import Qwen3Model, Qwen3TransformerBlock
from torchtitan.models.qwen3.state_dict_adapter import Qwen3StateDictAdapter
from torchtitan.protocols.model_spec import ModelSpec
from torchtitan.trainer import Trainer

from tokens import Batches

HERE = Path(__file__).resolve().parent
NORMS = r"norm\.weight$"


@dataclass
class Family:
    """What torchtitan has of a family."""

    model: type
    block: type
    rope: type
    parallelize: Callable
    adapter: type


FAMILIES = {
    "llama3": Family(Llama3Model, Llama3TransformerBlock, ComplexRoPE, parallelize_llama, Llama3StateDictAdapter),
    "qwen3": Family(Qwen3Model, Qwen3TransformerBlock, CosSinRoPE, parallelize_qwen3, Qwen3StateDictAdapter),
}


class Tokens(BaseDataLoader):
    """Every data-parallel rank's samples of each step: neighbors, in the order of `ligo train`."""

    @dataclass(kw_only=True, slots=True)
    class Config(BaseDataLoader.Config):
        pass

    def __init__(self, config, *, dp_world_size, dp_rank, local_batch_size, seq_len, **_):
        settings = json.loads((HERE / "ligo.json").read_text())
        rows = settings["batch_size"] * settings["accumulation"]
        if rows % (dp_world_size * local_batch_size):
            raise SystemExit(f"{dp_world_size} ranks cannot share the {rows} sequences of a step in batches of {local_batch_size} evenly")
        if seq_len != settings["seq_len"]:
            raise SystemExit(f"sequences have {settings['seq_len']} tokens here, not {seq_len}: write another folder with `ligo export`")
        self.batches, self.rows, self.local = Batches(settings), rows, local_batch_size
        self.rank, self.ranks, self.step, self.within = dp_rank, dp_world_size, 0, 0

    def __iter__(self):
        mine = self.rows // self.ranks
        while True:
            first = self.step * self.rows + self.rank * mine + self.within
            self.within += self.local
            if self.within == mine:
                self.step, self.within = self.step + 1, 0
            inputs, labels = self.batches.rows(first, self.local)
            yield {"input": inputs}, labels

    # Checkpoints are made between steps, so that a run goes on with any number of ranks.
    def state_dict(self):
        return {"step": self.step}

    def load_state_dict(self, state):
        self.step, self.within = state.get("step", 0), 0


class Schedule(LRSchedulersContainer):
    """The learning rate of each step, from a table."""

    @dataclass(kw_only=True, slots=True)
    class Config(LRSchedulersContainer.Config):
        def build(self, *, optimizers, training_steps):
            del training_steps
            table = (HERE / "rates.f64").read_bytes()
            rates = struct.unpack(f"<{len(table) // 8}d", table)
            # Each optimizer's own rate is 1. The scheduler also asks for the step behind the last.
            return Schedule(optimizers, lambda step: rates[min(step, len(rates) - 1)])


class NoText(BaseTokenizer):
    """Tokens are there already, so nothing is tokenized."""

    @dataclass(kw_only=True, slots=True)
    class Config(BaseTokenizer.Config):
        pass

    def __init__(self, config, *, tokenizer_path):
        super().__init__()

    def encode(self, *_, **__):
        raise NotImplementedError("this run reads tokens, not text")

    decode = get_vocab_size = encode


def model_of(sizes):
    """The model that config.json describes, as torchtitan has it."""
    family, dim, vocab = FAMILIES[sizes["family"]], sizes["hidden_size"], sizes["vocab_size"]
    # All weights are loaded; what is drawn here is seen by nobody.
    drawn = {"weight": partial(nn.init.normal_, std=0.02)}

    def norm(width):
        return RMSNorm.Config(normalized_shape=width, eps=sizes["rms_norm_eps"], param_init={"weight": nn.init.ones_})

    def layer():
        return family.block.Config(
            attention_norm=norm(dim),
            ffn_norm=norm(dim),
            attention=make_gqa_config(
                dim=dim,
                n_heads=sizes["num_attention_heads"],
                n_kv_heads=sizes["num_key_value_heads"],
                head_dim=sizes["head_dim"],
                wqkv_param_init=drawn,
                wo_param_init=drawn,
                # Samples are runs of tokens without regard to documents, as in ligo, so the mask is the plain causal one.
                inner_attention=ScaledDotProductAttention.Config(),
                fuse_qkv=True,
                rope=family.rope.Config(dim=sizes["head_dim"], max_seq_len=sizes["max_position_embeddings"], **sizes["rope"]),
                qk_norm=norm(sizes["head_dim"]) if sizes["family"] == "qwen3" else None,
            ),
            feed_forward=make_ffn_config(
                dim=dim, hidden_dim=sizes["intermediate_size"], w1_param_init=drawn, w2w3_param_init=drawn
            ),
        )

    tied = sizes["tie_word_embeddings"]
    config = family.model.Config(
        dim=dim,
        vocab_size=vocab,
        enable_weight_tying=tied,
        tok_embeddings=Embedding.Config(
            num_embeddings=vocab, embedding_dim=dim, param_init={"weight": skip_param_init} if tied else drawn
        ),
        norm=norm(dim),
        lm_head=Linear.Config(in_features=dim, out_features=vocab, param_init=drawn),
        layers=[layer() for _ in range(sizes["num_hidden_layers"])],
    )
    return ModelSpec(
        name=sizes["family"],
        flavor="grown",
        model=config,
        parallelize_fn=family.parallelize,
        pipelining_fn=pipeline_llm,
        post_optimizer_build_fn=None,
        state_dict_adapter=family.adapter,
    )


def grown() -> Trainer.Config:
    """The run that `ligo train` would do; options of torchtitan change it."""
    settings = json.loads((HERE / "ligo.json").read_text())
    numbers, sizes = settings["optimizer"], settings["torchtitan"]
    torch.set_float32_matmul_precision("high" if settings["precision"] == "tf32" else "highest")

    def group(pattern, decay):
        kwargs = {"lr": 1.0, "betas": (numbers["beta1"], numbers["beta2"]), "eps": numbers["eps"], "weight_decay": decay}
        return ParamGroupConfig(pattern=pattern, optimizer_name="AdamW", optimizer_kwargs=kwargs)

    return Trainer.Config(
        model_spec=model_of(sizes),
        dump_folder=str(HERE / "run"),
        hf_assets_path=settings["model"],
        tokenizer=NoText.Config(),
        dataloader=Tokens.Config(dataset="ligo"),
        loss=ChunkedLossWrapper.Config(loss_fn=CrossEntropyLoss.Config(global_vocab_size=sizes["vocab_size"])),
        optimizer=OptimizersContainer.Config(param_groups=[group(NORMS, 0.0), group(r".*", numbers["weight_decay"])]),
        lr_scheduler=Schedule.Config(warmup_steps=0),
        training=TrainingConfig(
            local_batch_size=settings["batch_size"],
            global_batch_size=settings["batch_size"] * settings["accumulation"],
            seq_len=settings["seq_len"],
            max_norm=settings["clip_norm"] or float("inf"),
            steps=settings["steps"],
            mixed_precision_param="bfloat16" if settings["precision"] == "bf16" else "float32",
            disable_cuda_graphs=True,
        ),
        metrics=MetricsProcessor.Config(log_freq=settings["log_every"]),
        checkpoint=CheckpointManager.Config(
            enable=True,
            interval=settings["checkpoint_every"] or settings["steps"],
            initial_load_in_hf=True,
            last_save_in_hf=True,
        ),
        debug=DebugConfig(seed=settings["seed"]),
    )
