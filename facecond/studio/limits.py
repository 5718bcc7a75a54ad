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

UPLOAD_BYTES = 12 * 2**20
"""Size of an uploaded file."""

PHOTO_PIXELS = 40_000_000
"""Pixels of an uploaded photo, as its header says: a small file can unfold into gigabytes."""

BODY_BYTES = 17 * 2**20
"""Size of a whole request: an upload as base64, and what stands around it."""
