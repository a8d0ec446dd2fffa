"""Mixtures out of dense models or adapters: a Mixtral or Qwen-MoE checkpoint in one pass."""
