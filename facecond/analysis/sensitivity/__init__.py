"""Which cross-attention layer answers to which source of conditions."""
