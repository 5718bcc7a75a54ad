"""What is wrong with a data folder: `examine` looks, `page` shows, `faults` checks the looking."""
