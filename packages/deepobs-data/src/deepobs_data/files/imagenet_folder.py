"""Find the ImageNet folder, or explain how to get it; importable without torch."""

from __future__ import annotations

from pathlib import Path

from deepobs_data.errors import DataNotFoundError

FOLDERS = ("imagenet", "ImageNet", "ILSVRC2012", "")


def find_imagenet(root: Path) -> Path:
    """The folder at or below `root` that has `train` and `val`.

    Raises:
        DataNotFoundError: ImageNet is not there; the message explains how to get it.
    """
    for name in FOLDERS:
        if (root / name / "train").is_dir() and (root / name / "val").is_dir():
            return root / name
    target = root / "imagenet"
    raise DataNotFoundError(
        f"ImageNet is not in {root}: no folders train and val there or in {target}.\n"
        "Its licence forbids downloading it for you. Log in at https://image-net.org, download\n"
        "  ILSVRC2012_img_train.tar (138 GB), ILSVRC2012_img_val.tar (6.3 GB) and\n"
        f"  ILSVRC2012_devkit_t12.tar.gz (2.5 MB) into {target}\n"
        "and let torchvision unpack them (some hours, another 145 GB):\n"
        '  python -c "from torchvision.datasets import ImageNet; '
        f"[ImageNet(r'{target}', split) for split in ('train', 'val')]\"\n"
        "If you have such folders already, name the folder that holds train and val:\n"
        "  --data-dir FOLDER, root=FOLDER in Python, or DEEPOBS_DATA_DIR=FOLDER"
    )
