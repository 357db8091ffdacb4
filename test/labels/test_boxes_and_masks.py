# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
import json
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.errors import ConfigError
from gsocc_core.labels.boxes import Boxes, load_detector
from gsocc_core.labels.masks import load_segmenter
from gsocc_core.labels.prompts import make_captions, read_prompts
from gsocc_core.labels.semantics import SemanticsLabeller

CPU = torch.device("cpu")


def pictures(count=2, height=45, width=80, seed=0):
    small = torch.rand(count, 3, 6, 9, generator=torch.Generator().manual_seed(seed)) * 255
    return functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 255).to(torch.uint8)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture
def detector(models):
    return load_detector(str(models["detector"]), CPU, 0.2, 0.2)


@pytest.fixture(scope="module", params=["sam2", "sam"])
def segmenter(request, models):
    return load_segmenter(str(models[request.param]), CPU)


@pytest.fixture
def captions(detector, prompts_file):
    prompts = read_prompts(prompts_file, OCC3D_NUSCENES)
    return {mode: make_captions(prompts, mode, detector.tokenizer, 48) for mode in ("separate", "by_class", "combined")}


def test_boxes_are_those_of_the_plain_model_each_caption_by_itself(models, detector, captions):
    from transformers import GroundingDinoForObjectDetection
    from transformers.image_transforms import center_to_corners_format

    plain = GroundingDinoForObjectDetection.from_pretrained(models["detector"]).eval()
    found = detector(pictures(), captions["separate"])
    inputs, corners, scores, ids = detector.prepare(pictures()), [], [], []
    for caption in captions["separate"]:
        text = detector.tokenizer([f"{caption.prompts[0].text}."] * 2, return_tensors="pt")
        output = plain(pixel_values=inputs, **text)
        probability = output.logits[1].sigmoid()[:, 1 : len(caption.token_ids) - 2].amax(1)
        keep = probability > 0.2
        corners.append(center_to_corners_format(output.pred_boxes[1][keep]).clamp(0, 1))
        scores.append(probability[keep])
        ids += [caption.prompts[0].class_id] * int(keep.sum())
    torch.testing.assert_close(found[1].scores, torch.cat(scores))
    torch.testing.assert_close(found[1].corners, torch.cat(corners))
    assert found[1].class_ids.tolist() == ids
    assert len(set(ids)) > 1


def test_a_picture_is_encoded_once_whatever_the_number_of_words(detector, captions):
    calls = []
    detector.model.model.backbone.conv_encoder.encoder.register_forward_hook(lambda *_: calls.append(1))
    detector(pictures(), captions["separate"])
    assert len(calls) == 1
    first = detector(pictures(seed=1), captions["combined"])
    assert len(calls) == 2  # other pictures are not taken for the earlier ones
    assert not torch.equal(first[0].corners, detector(pictures(seed=2), captions["combined"])[0].corners)


def test_phrases_of_a_combined_caption_become_classes_by_their_tokens(detector, captions):
    (caption,) = captions["combined"]
    logits = torch.full((3, 256), -20.0)
    logits[0, caption.spans[4][1] - 1] = 3.0  # "cone" of "traffic cone"
    logits[1, caption.spans[5][0]] = 1.0  # "street", and a little of "bus"
    logits[1, caption.spans[3][0]] = 0.5
    logits[2, caption.spans[0][1]] = 9.0  # a full stop names nothing
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.4]] * 3)
    named = detector._named(logits.sigmoid(), boxes, caption)
    assert named.class_ids.tolist() == [8, 11]
    torch.testing.assert_close(named.scores, torch.tensor([3.0, 1.0]).sigmoid())
    torch.testing.assert_close(named.corners[0], torch.tensor([0.4, 0.3, 0.6, 0.7]))


def test_pictures_are_prepared_as_transformers_does_it(models, detector):
    module = pytest.importorskip("transformers.models.grounding_dino.image_processing_pil_grounding_dino")
    options = json.loads((models["detector"] / "preprocessor_config.json").read_text())
    picture = pictures(1, 90, 160)
    processor = module.GroundingDinoImageProcessorPil(**options)
    expected = processor(picture[0].permute(1, 2, 0).numpy(), return_tensors="pt")["pixel_values"]
    ours = detector.prepare(picture)
    assert ours.shape == expected.shape == (1, 3, 48, 85)
    torch.testing.assert_close(ours, expected, atol=0.03, rtol=0)


def test_sam_sees_and_answers_as_in_transformers(models):
    module = pytest.importorskip("transformers.models.sam.image_processing_pil_sam")
    sam, picture = load_segmenter(str(models["sam"]), CPU), pictures(1)
    processor = module.SamImageProcessorPil(
        size={"longest_edge": 64}, pad_size={"height": 64, "width": 64}, mask_size={"longest_edge": 16},
        mask_pad_size={"height": 16, "width": 16},
    )  # fmt: skip
    inputs = processor(picture[0].permute(1, 2, 0).numpy(), return_tensors="pt")
    torch.testing.assert_close(sam.prepare(picture), inputs["pixel_values"], atol=0.03, rtol=0)
    corners = torch.tensor([[0.1, 0.2, 0.6, 0.9], [0.5, 0.0, 1.0, 0.5]])
    boxes = corners * torch.tensor([64.0, 36.0, 64.0, 36.0])
    output = sam.model(pixel_values=sam.prepare(picture), input_boxes=boxes[None], multimask_output=False)
    logits = functional.interpolate(output.pred_masks[0], (64, 64), mode="bilinear")[..., :36, :64]
    expected = functional.interpolate(logits, (45, 80), mode="bilinear")[:, 0] > 0
    masks = sam.masks(sam.embed(picture)[0], corners, (45, 80), (45, 80))
    assert torch.equal(masks, expected)
    assert 0.01 < masks.float().mean() < 0.99


def test_sam2_stretches_pictures_to_a_square(models):
    sam, picture = load_segmenter(str(models["sam2"]), CPU), pictures(2)
    corners = torch.tensor([[0.1, 0.2, 0.6, 0.9], [0.5, 0.0, 1.0, 0.5]])
    assert sam.prepare(picture).shape == (2, 3, 64, 64)
    output = sam.model(pixel_values=sam.prepare(picture)[1:], input_boxes=(corners * 64)[None], multimask_output=False)
    expected = functional.interpolate(output.pred_masks[0], (22, 40), mode="bilinear")[:, 0] > 0
    assert torch.equal(sam.masks(sam.embed(picture)[1], corners, (45, 80), (22, 40)), expected)


@pytest.mark.parametrize("at_once", [1, 2, 64])
def test_each_pixel_has_the_class_of_the_best_box_over_it(segmenter, detector, at_once):
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.6, (7, 2))
    corners = torch.tensor(np.concatenate([low, low + rng.uniform(0.2, 0.4, (7, 2))], 1)).float()
    scores = torch.tensor(rng.permutation(7) / 10 + 0.25).float()
    boxes = Boxes(corners, scores, torch.tensor([4, 0, 11, 15, 4, 8, 3]))
    embedding = segmenter.embed(pictures(1))[0]
    expected = np.zeros((22, 40), int)
    best = np.zeros((22, 40))
    for i in range(7):
        mask = segmenter.masks(embedding, corners[i : i + 1], (45, 80), (22, 40))[0].numpy()
        over = mask & (float(scores[i]) > best)
        expected[over], best[over] = int(boxes.class_ids[i]), float(scores[i])
    assert len(np.unique(expected)) > 1
    labeller = SemanticsLabeller(detector, segmenter, ())
    before, segmenter.boxes_at_once = segmenter.boxes_at_once, at_once
    painted = labeller._paint(embedding, boxes, (45, 80), (22, 40))
    segmenter.boxes_at_once = before
    assert painted.dtype == torch.uint8
    np.testing.assert_array_equal(painted, expected)


def test_pictures_without_a_box_are_unlabelled(models, segmenter, captions):
    strict = load_detector(str(models["detector"]), CPU, 1.0, 1.0)
    labels = SemanticsLabeller(strict, segmenter, captions["combined"])(pictures(), [], (22, 40))
    assert labels.shape == (2, 22, 40)
    assert not labels.any()


def test_one_picture_with_boxes_and_one_without(detector, segmenter, captions):
    labeller = SemanticsLabeller(detector, segmenter, captions["separate"])
    both = labeller(pictures(), [], (22, 40))
    assert both.any()
    nothing = Boxes(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    empty = labeller._paint(segmenter.embed(pictures(1))[0], nothing, (45, 80), (22, 40))
    assert not empty.any()


def test_a_detector_is_not_taken_for_a_segmenter(models):
    with pytest.raises(
        ConfigError, match=r"--segmenter: expected .*type sam, sam2, sam2_video.*of type grounding-dino"
    ):
        load_segmenter(str(models["detector"]), CPU)
    with pytest.raises(ConfigError, match="--detector: expected .*grounding-dino.*of type sam"):
        load_detector(str(models["sam"]), CPU, 0.2, 0.2)


def test_torchvision_is_not_needed(models):
    assert "torchvision" not in sys.modules


def test_bfloat16_runs_through_detector_and_segmenter(detector, segmenter, captions):
    labeller = SemanticsLabeller(detector, segmenter, captions["by_class"])
    with torch.autocast("cpu", torch.bfloat16):
        labels = labeller(pictures(), [], (22, 40))
    assert labels.dtype == torch.uint8
    assert labels.any()
