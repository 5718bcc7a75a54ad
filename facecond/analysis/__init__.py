"""Studies of trained models: which layer answers to which source, which choice pays."""
