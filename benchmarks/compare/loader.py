"""PyTorch's side of training from a loader: shuffled batches of uint8, each image cropped at random (padding 4) and flipped.

    tensors      the whole batch by tensor operations on the training's threads, without a DataLoader
    workers-N    a DataLoader with N processes that do the same; 0: in the training's process

No source works image by image: all make a batch at once, from tensors, which is PyTorch at its best.
"""

import torch

PADDING = 4


class Images(torch.utils.data.Dataset):
    """uint8 [N][H][W][3], padded once, so that a crop is one gather of rows."""

    def __init__(self, pixels, labels, border=(0, 0, 0)):
        images, self.height, self.width, _ = pixels.shape
        self.pixels = torch.from_numpy(pixels)
        shape = (images, self.height + 2 * PADDING, self.width + 2 * PADDING, 3)
        self.padded = torch.tensor(border, dtype=torch.uint8).expand(shape).clone()
        self.padded[:, PADDING : PADDING + self.height, PADDING : PADDING + self.width] = self.pixels
        self.labels = torch.from_numpy(labels).long()
        # [N][2 * PADDING + 1][2 * PADDING + 1][3][H][W]: every window of every image, as a view.
        self.windows = self.padded.unfold(1, self.height, 1).unfold(2, self.width, 1)

    def __len__(self):
        return len(self.labels)

    def batch(self, indices):
        """Images [n][H][W][3] and labels."""
        n = len(indices)
        rows, columns = torch.randint(2 * PADDING + 1, (2, n))
        crops = self.windows[indices, rows, columns].permute(0, 2, 3, 1)
        flipped = torch.rand(n) < 0.5
        return torch.where(flipped.view(n, 1, 1, 1), crops.flip(2), crops).contiguous(), self.labels[indices]

    def __getitems__(self, indices):  # a DataLoader asks for a whole batch at once
        return self.batch(torch.tensor(indices))


def itself(batch):
    return batch


def batches(pixels, labels, size, source):
    """Endless, epoch after epoch; what is not a full batch at an epoch's end is left out."""
    images = Images(pixels, labels)
    if source == "tensors":
        while True:
            order = torch.randperm(len(images))
            for first in range(0, len(images) - size + 1, size):
                yield images.batch(order[first : first + size])
    workers = int(source.removeprefix("workers-"))
    loader = torch.utils.data.DataLoader(
        images, size, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0, collate_fn=itself
    )
    while True:
        yield from loader
