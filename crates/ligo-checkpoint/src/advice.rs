//! What errors advise.

/// The command that turns `pytorch_model.bin` into `model.safetensors`.
pub(crate) const CONVERT_COMMAND: &str = "python -c \"import torch; from safetensors.torch import save_file; \
save_file({k: v.clone().contiguous() for k, v in torch.load('pytorch_model.bin', map_location='cpu', weights_only=True).items()}, \
'model.safetensors', {'format': 'pt'})\"";

/// What to do where a download has left a file half.
pub(crate) fn half_fetched(unfinished: &Option<String>) -> String {
    unfinished.as_ref().map_or_else(String::new, |name| {
        format!("; `{name}` is there, so that a download seems not to have ended: start it again")
    })
}
