"""What one person may ask for, so that nobody keeps the studio from the others."""

from __future__ import annotations

COUNT = 16
"""Faces a request."""

STEPS = 50
"""Sampling steps a request."""

SCALE = 10.0
"""Guidance scale per source."""

SEED = 2**31 - 1
"""Largest seed."""

WAITING = 8
"""Requests in the line behind the one that is being drawn."""

PLACES = 4
"""Requests in the line from one address, so that no script takes all places."""

WRONG_PASSWORD_SECONDS = 1.0
"""Pause after a wrong password, for the address it came from."""

UPLOAD_BYTES = 12 * 2**20
"""Size of an uploaded file."""

PHOTO_PIXELS = 40_000_000
"""Pixels of an uploaded photo, as its header says: a small file can unfold into gigabytes."""

PHOTO_SECONDS = 20.0
"""How long a photo waits for its turn to be opened: one is open at a time."""

MASK_SIDE = 1024
"""Side of an uploaded mask in pixels."""

OPENING = 2
"""Uploaded files that are read at a time; the next are refused at once."""

QUICK = 8
"""Other short calls that are answered at a time."""

REFERENCES = 2
"""Reference faces a request."""

TAKES = 8
"""What may be taken from one of them."""

WEIGHT = 1.5
"""Largest weight of a reference."""

BODY_BYTES = 17 * 2**20
"""Size of a whole request: an upload as base64, and what stands around it."""
