#!/usr/bin/env python3
"""The example classify says of photos what torchvision says: transforms, weights, probabilities and class names.

    classify.py PROGRAM     PROGRAM is examples/classify, built

With drawn weights (torchvision's trained ones are no package), whose logits are scaled to a trained network's size.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

photos = sorted((pathlib.Path(__file__).parents[1] / "fixtures/images").glob("r*.png"))  # JPEG decoders round differently
torch.manual_seed(1)
for name in "resnet18", "resnet34":
    weights = torchvision.models.get_model_weights(name).DEFAULT
    network = torchvision.models.get_model(name)
    images = torch.stack([weights.transforms()(Image.open(photo).convert("RGB")) for photo in photos])
    with torch.no_grad():
        network.train()(torch.randn(8, 3, 224, 224))
        network.fc.weight *= 2 / network.eval()(images).std()
        probabilities = network(images).softmax(1)
    with tempfile.TemporaryDirectory() as folder:
        save_file(network.state_dict(), f"{folder}/weights")
        command = [sys.argv[1], "--json", "--model", f"imagenet-{name}", "--weights", f"{folder}/weights", "--top", "1000"]
        done = subprocess.run([*command, *photos], check=True, capture_output=True, text=True)
    names, difference = weights.meta["categories"], 0
    for photo, found, expected in zip(photos, json.loads(done.stdout), probabilities, strict=True):
        assert found["file"] == str(photo), (found["file"], photo)
        assert len(found["classes"]) == len(names) == 1000
        for entry in found["classes"]:
            assert entry["class"] == names[entry["index"]], entry
            difference = max(difference, abs(entry["probability"] - expected[entry["index"]].item()))
    largest = probabilities.max().item()
    assert 0.01 < largest < 0.9 and difference < 1e-3 * largest, (largest, difference)
    print(f"{name}: {len(photos)} photos, probabilities within {difference:.1e} (largest {largest:.2f})")
