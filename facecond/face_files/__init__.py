"""Sampled faces as files that say how they were made.

- `record`: what a face was made from, and the PNG that carries it;
- `drawing`: requests -> faces with their records;
- `references`: what records say of reference faces;
- `rows`: requests from a CSV or JSON Lines file; `bulk`: thousands of them, by several processes;
- `edit_record`: what an edited photo was made from;
- `checking`: whether a record is whole; `reproducing`: a file -> the same face again.
"""

from facecond.face_files.record import face_png, face_record

__all__ = ["face_png", "face_record"]
