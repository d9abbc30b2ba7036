"""The figures of the paper's Tables 1 and 2 (DiffAgent, CVPR 2024), to stand beside what is measured here.

TABLE_1["SD 1.5"]["DABench"]["SFT"]                        # 11.5, per cent
TABLE_2["SD XL"]["COCO Caption"]["Baseline"]["Unified"]    # 48.0
"""

from finetune.paper.prompt_sets import COCO, DABENCH, PARTI

ARCHITECTURES = ("SD 1.5", "SD XL")
STAGES = ("SFT", "RRHF")
METHODS = ("Baseline", "Baseline*", "DiffAgent#", "DiffAgent-SFT", "DiffAgent-RRHF")
METRICS = ("CLIP Score", "ImageReward", "HPS v2", "Unified")

TABLE_1: dict[str, dict[str, dict[str, float]]] = {
    "SD 1.5": {
        DABENCH: {"SFT": 11.5, "RRHF": 9.5},
        COCO: {"SFT": 26.9, "RRHF": 15.5},
        PARTI: {"SFT": 28.9, "RRHF": 20.0},
    },
    "SD XL": {
        DABENCH: {"SFT": 7.4, "RRHF": 7.1},
        COCO: {"SFT": 45.6, "RRHF": 36.0},
        PARTI: {"SFT": 48.1, "RRHF": 28.0},
    },
}

_SD_XL = {
    DABENCH: (
        (83.2, 65.1, 26.8, 49.2),
        (83.4, 67.4, 26.9, 54.2),
        (83.0, 69.6, 26.9, 53.0),
        (83.2, 67.7, 27.0, 55.8),
        (83.2, 71.4, 27.0, 57.5),
    ),
    COCO: (
        (85.2, 71.8, 27.4, 48.0),
        (85.5, 75.3, 27.6, 53.7),
        (85.0, 78.9, 27.5, 52.2),
        (85.4, 79.2, 27.6, 55.6),
        (85.3, 82.7, 27.6, 57.4),
    ),
    PARTI: (
        (86.5, 88.7, 27.4, 49.8),
        (86.6, 91.3, 27.4, 53.6),
        (86.4, 93.5, 27.4, 52.5),
        (86.7, 96.4, 27.6, 56.5),
        (86.8, 98.6, 27.6, 58.8),
    ),
}
_SD_15 = {
    DABENCH: (
        (75.4, -73.9, 25.6, 37.2),
        (75.4, -69.7, 25.7, 39.5),
        (80.6, -6.7, 26.6, 67.0),
        (79.2, -21.0, 26.4, 59.7),
        (80.6, -5.3, 26.6, 68.2),
    ),
    COCO: (
        (78.8, -37.6, 26.3, 42.3),
        (78.8, -33.0, 26.4, 45.2),
        (80.3, 7.4, 26.9, 60.8),
        (79.5, -12.4, 26.6, 53.5),
        (80.3, 9.6, 26.9, 62.2),
    ),
    PARTI: (
        (79.9, -30.1, 26.1, 43.0),
        (80.2, -24.6, 26.2, 46.5),
        (81.6, 12.3, 26.7, 60.7),
        (80.3, -0.2, 26.5, 53.7),
        (81.8, 13.2, 26.7, 61.8),
    ),
}

TABLE_2: dict[str, dict[str, dict[str, dict[str, float]]]] = {
    architecture: {
        name: {
            method: dict(zip(METRICS, row, strict=True)) for method, row in zip(METHODS, rows, strict=True)
        }
        for name, rows in sets.items()
    }
    for architecture, sets in (("SD 1.5", _SD_15), ("SD XL", _SD_XL))
}
"""CLIP Score and ImageReward times 100, HPS v2 as cosine times 100, the Unified Metric times 100."""
