from facecond.data.appearance import appearance_attributes
from facecond.data.render_set import render_prepared
from facecond.data.rendered import APPEARANCE_ATTRIBUTES
from facecond.labels import APPEARANCE, ATTRIBUTES


def test_what_counts_as_appearance_depends_on_how_the_faces_were_made(tmp_path):
    folder = render_prepared(tmp_path / "a", 2, 64, workers=1)
    assert appearance_attributes(folder) == APPEARANCE_ATTRIBUTES
    folder.source = "celebamask"
    assert appearance_attributes(folder) == tuple(n for n in ATTRIBUTES if n in APPEARANCE)
