//! The `ligo` program: grows a pretrained transformer into a larger one, and shows what that saved.
fn main() {}
