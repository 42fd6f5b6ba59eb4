"""Show a student what the teacher saw when it labelled an image."""

from collections.abc import Sequence

import torch
from torch import Tensor

from divbench.labels.store import Mix, SoftLabels


def cutmix_boxes(share: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Boxes [n, 4] int32 (x1, y1, x2, y2) around random centres, of area 1 - share, clipped at the border.

    Yun et al. 2019, arXiv:1905.04899, algorithm A1, with the rounding of the released code.

    Args:
        share: [n] in [0, 1].
        size: side of the images in pixels.
        generator: of the centres, on the CPU.
    """
    half = (size * (1 - share.double()).sqrt()).long() // 2
    centres = torch.randint(size, (len(share), 2), generator=generator)
    return torch.cat([centres - half[:, None], centres + half[:, None]], 1).clamp(0, size).int()


def augment(images: Tensor, labels: SoftLabels) -> Tensor:
    """A batch as the teacher saw it and as the student has to: cut out, stretched, mirrored, mixed.

    Values between pixels lie on straight lines, and a cut-out does not see beyond its border, as torchvision's
    resized_crop of a tensor has it. Whole images come out as they are. The result does not depend on autocast or TF32.

    Args:
        images: [B, 3, H, W] uint8 or floating point, those of ``labels.ids``.
        labels: of this batch alone (`SoftLabels.part`); what there is per image is on the device of the images, what
            there is per batch is on the CPU (`SoftLabels.to`).

    Returns:
        [B, 3, H, W] float32 in the units of the images: [0, 255] for uint8.
    """
    if len(images) != len(labels) or labels.batches != 1:
        raise ValueError(
            f"{len(images)} images and {len(labels)} labels in {labels.batches} batches; expected one batch"
        )
    top, left, height, width = labels.crops.unbind(1)
    rows, columns = _places(top, height, images.shape[2]), _places(left, width, images.shape[3])
    columns = torch.where(labels.flips[:, None], columns.flip(1), columns)
    return _mixed(_between(_between(images, rows, 2), columns, 3), labels)


def _places(start: Tensor, length: Tensor, size: int) -> Tensor:
    """[B, size] float32: which source pixel, in fractions, each pixel of the result takes along one axis."""
    inside = (torch.arange(size, device=start.device) + 0.5) * length[:, None] - 0.5
    return start[:, None] * size + inside.clamp_min(0).minimum(length[:, None] * size - 1)


def _between(images: Tensor, places: Tensor, dim: int) -> Tensor:
    """float32 values at ``places`` [B, n] along one axis of ``images``, on straight lines between pixels."""
    size = images.shape[dim]
    low = places.floor()
    shape = [len(images), 1, 1, 1]
    shape[dim] = -1
    wanted = [*images.shape[:dim], places.shape[1], *images.shape[dim + 1 :]]

    def take(pixels: Tensor) -> Tensor:
        return images.gather(dim, pixels.long().clamp(0, size - 1).view(shape).expand(wanted)).float()

    return torch.lerp(take(low), take(low + 1), (places - low).view(shape))


def _mixed(images: Tensor, labels: SoftLabels) -> Tensor:
    """Images [B, 3, H, W] float32 with their partners mixed in."""
    partner = (labels.partners[:, None] == labels.ids).int().argmax(1)
    share = float(labels.share) if labels.mix == "mixup" else 1.0
    return mix_in(images, images[partner], labels.mix, share, labels.boxes[0].tolist())


def mix_in(images: Tensor, others: Tensor, mix: Mix, share: float, box: Sequence[int]) -> Tensor:
    """Images [B, 3, H, W] float32 with ``others`` mixed in.

    Args:
        images: left as they are.
        others: of the same shape.
        mix: how.
        share: of the images themselves in ``mixup``.
        box: (x1, y1, x2, y2): in ``cutmix`` ``images[:, :, x1:x2, y1:y2]`` are the others'.
    """
    if mix == "none":
        return images
    if mix == "mixup":
        return share * images + (1 - share) * others
    x1, y1, x2, y2 = box
    mixed = images.clone()
    mixed[:, :, x1:x2, y1:y2] = others[:, :, x1:x2, y1:y2]
    return mixed
