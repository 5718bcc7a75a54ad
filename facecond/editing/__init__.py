"""From one face to others: grids over conditions, paths between two faces."""
