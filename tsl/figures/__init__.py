"""Records in, matplotlib figures out: one module per figure family, each with `draw(runs) -> Figure`."""
