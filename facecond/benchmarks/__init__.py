"""Speed, side by side: cases, fair work, interleaved timing, results in JSON and a table.

settings.py    what is asked for; travels to the process that measures
cases.py       names of the cases, without their modules
contender.py   one way to do a case's work
checks.py      same work, same answers, nothing skipped: before a clock runs
timing.py      rounds in which every contender runs once; medians and ratios
work.py        sizes: a shipped config with its batches, and fresh random conditions
peers.py       where the code of others lies; peer_unet.py, ldm.py: theirs behind our interfaces
worker.py      one case in a fresh process; runner.py: all cases, their memory, their files
table.py       the table by device
soak.py        not in rounds: many requests at once; served.py: the studio that they go to
The others     cases.
"""
