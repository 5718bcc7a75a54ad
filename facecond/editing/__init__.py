"""From one face to others: grids over conditions, paths between two faces, edits of a photo.

An edit is an inversion (`inversion`, of the `denoiser` under conditions), a change of the
conditions in a region (`regions`), and the way back (`edit`), with what it cost (`agreement`).
"""

from facecond.editing.edit import EditedFace, edit_face

__all__ = ["EditedFace", "edit_face"]
