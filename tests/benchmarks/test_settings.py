"""Settings survive their journey to another process."""

from __future__ import annotations

import json

from facecond.benchmarks.settings import QualitySettings, Settings


def test_there_and_back() -> None:
    quality = QualitySettings({"ldm": "run"}, "data", overrides=("a=1",), steps=(2, 4))
    sent = Settings(3, "bf16", True, 2, peers={"ldm": "x"}, quality=quality)
    assert Settings.from_dict(json.loads(json.dumps(sent.to_dict()))) == sent
