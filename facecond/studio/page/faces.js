// faces
