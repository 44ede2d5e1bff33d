"""Starts torchtitan on the model that grown.py describes. Written by `ligo export`."""

import os
import shutil
from pathlib import Path

if os.environ.get("CPU"):
    import cpu  # noqa: F401

from torchtitan.config import ConfigManager
from torchtitan.train import main

# The configuration last: where it is, all is there.
BESIDE_WEIGHTS = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "config.json",
]


def start():
    config = ConfigManager().parse_args()
    last = Path(config.dump_folder) / config.checkpoint.folder / f"step-{config.training.steps}"
    if (last / "config.json").exists():
        print(f"complete: {last}")
        return
    main()
    # The weights of the last step are a Hugging Face directory but for what stands beside them.
    is_first = int(os.environ.get("RANK", "0")) == 0
    if is_first and config.checkpoint.last_save_in_hf and last.is_dir():
        for name in BESIDE_WEIGHTS:
            file = Path(config.hf_assets_path) / name
            if file.exists():
                shutil.copy(file, last)


if __name__ == "__main__":
    start()
