# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Tiny random models of the real classes, saved like those of the hub."""

import json

import pytest
import torch

WORDS = ("car", "vehicle", "bus", "sky", "street", "traffic", "cone", "tree", "build", "##ing", "person")
TINY_DINO = {"model_type": "dinov2", "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2,
             "intermediate_size": 32, "reshape_hidden_states": False}  # fmt: skip


def _save(model, folder, preprocessor):
    """Weights large enough that different pictures give different labels."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, parameter[0].numel() ** -0.5)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def make_depth_anything(folder, depth_estimation_type="metric", seed=0):
    """6 M operations instead of 10^11; 14-pixel patches, short side 56 pixels."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

    torch.manual_seed(seed)
    config = DepthAnythingConfig(
        backbone_config={**TINY_DINO, "image_size": 56, "patch_size": 14, "out_indices": [1, 2, 3, 4],
                         "apply_layernorm": True},
        patch_size=14, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        head_hidden_size=8, depth_estimation_type=depth_estimation_type, max_depth=80,
    )  # fmt: skip
    return _save(DepthAnythingForDepthEstimation(config), folder, {
        "size": {"height": 56, "width": 56}, "keep_aspect_ratio": True, "ensure_multiple_of": 14,
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
    })  # fmt: skip


def make_zoedepth(folder):
    """A BEiT of two layers."""
    from transformers import ZoeDepthConfig, ZoeDepthForDepthEstimation

    torch.manual_seed(0)
    config = ZoeDepthConfig(
        backbone_config={"model_type": "beit", "image_size": 64, "patch_size": 16, "hidden_size": 16,
                         "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32,
                         "use_relative_position_bias": True, "reshape_hidden_states": False,
                         "out_features": ["stage1", "stage2", "stage3", "stage4"]},
        neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, bottleneck_features=8, num_relative_features=8,
        num_attractors=[4, 2, 2, 1], bin_embedding_dim=8,
        bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 80.0}],
    )  # fmt: skip
    return _save(ZoeDepthForDepthEstimation(config), folder, {
        "size": {"height": 64, "width": 96}, "keep_aspect_ratio": True, "ensure_multiple_of": 32,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "do_pad": True,
    })  # fmt: skip


def make_depth_pro(folder):
    """Patches of 32 pixels in a square of 128."""
    from transformers import DepthProConfig, DepthProForDepthEstimation

    torch.manual_seed(0)
    vision = {**TINY_DINO, "image_size": 32, "patch_size": 8}
    del vision["reshape_hidden_states"]
    config = DepthProConfig(
        patch_size=32, fusion_hidden_size=16, intermediate_hook_ids=[2, 0], intermediate_feature_dims=[8, 8],
        scaled_images_ratios=[0.25, 0.5, 1], scaled_images_overlap_ratios=[0.0, 0.5, 0.25],
        scaled_images_feature_dims=[16, 16, 8], merge_padding_value=1, use_fov_model=True, num_fov_head_layers=1,
        image_model_config=vision, patch_model_config=vision, fov_model_config=vision,
    )  # fmt: skip
    return _save(DepthProForDepthEstimation(config), folder, {
        "size": {"height": 128, "width": 128}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    })  # fmt: skip


def make_detector(folder, queries=6):
    """A Swin of two stages, and BERT's special tokens at their usual numbers."""
    from transformers import BertTokenizer, GroundingDinoConfig, GroundingDinoForObjectDetection

    vocabulary = [f"[unused{i}]" for i in range(1040)]
    for number, token in {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: "."}.items():
        vocabulary[number] = token
    vocabulary[1020 : 1020 + len(WORDS)] = WORDS
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    torch.manual_seed(0)
    config = GroundingDinoConfig(
        backbone_config={"model_type": "swin", "embed_dim": 8, "depths": [1, 1, 1], "num_heads": [1, 1, 2],
                         "window_size": 2, "image_size": 32, "patch_size": 4, "out_indices": [1, 2, 3]},
        text_config={"model_type": "bert", "vocab_size": len(vocabulary), "hidden_size": 16, "num_hidden_layers": 1,
                     "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 64},
        num_queries=queries, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=32, decoder_ffn_dim=32, d_model=32,
        encoder_attention_heads=2, decoder_attention_heads=2, max_text_len=48,
    )  # fmt: skip
    _save(GroundingDinoForObjectDetection(config), folder, {
        "size": {"shortest_edge": 48, "longest_edge": 96}, "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    })  # fmt: skip
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def make_sam2(folder):
    """A Hiera of four stages on a square of 64 pixels."""
    from transformers import Sam2Config, Sam2Model
    from transformers.models.sam2.configuration_sam2 import (
        Sam2HieraDetConfig,
        Sam2MaskDecoderConfig,
        Sam2PromptEncoderConfig,
        Sam2VisionConfig,
    )

    torch.manual_seed(0)
    backbone = Sam2HieraDetConfig(
        hidden_size=8, image_size=[64, 64], blocks_per_stage=[1, 1, 2, 1], embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads=1, num_attention_heads_per_stage=[1, 1, 2, 2], window_size_per_stage=[8, 4, 4, 4],
        global_attention_blocks=[3], window_positional_embedding_background_size=[2, 2],
    )  # fmt: skip
    config = Sam2Config(
        vision_config=Sam2VisionConfig(
            backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=16,
            backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        ),
        prompt_encoder_config=Sam2PromptEncoderConfig(hidden_size=16, image_size=64, patch_size=16,
                                                      mask_input_channels=4),
        mask_decoder_config=Sam2MaskDecoderConfig(hidden_size=16, mlp_dim=16, num_attention_heads=2,
                                                  iou_head_hidden_dim=16),
    )  # fmt: skip
    return _save(Sam2Model(config), folder, {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]})


def make_sam(folder):
    """A ViT of one layer on a square of 64 pixels."""
    from transformers import SamConfig, SamModel
    from transformers.models.sam.configuration_sam import SamMaskDecoderConfig, SamPromptEncoderConfig, SamVisionConfig

    torch.manual_seed(0)
    config = SamConfig(
        vision_config=SamVisionConfig(hidden_size=16, output_channels=16, num_hidden_layers=1, num_attention_heads=2,
                                      image_size=64, patch_size=16, window_size=2, global_attn_indexes=[0],
                                      num_pos_feats=8, mlp_dim=16),
        prompt_encoder_config=SamPromptEncoderConfig(hidden_size=16, image_size=64, patch_size=16,
                                                     mask_input_channels=4),
        mask_decoder_config=SamMaskDecoderConfig(hidden_size=16, mlp_dim=16, num_hidden_layers=1,
                                                 num_attention_heads=2, iou_head_hidden_dim=16),
    )  # fmt: skip
    return _save(SamModel(config), folder, {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]})


def make_dinov2(folder, registers=0):
    """Two layers, 14-pixel patches; its picture size is another than any that a test asks for."""
    from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2, "image_size": 42,
             "patch_size": 14}  # fmt: skip
    if registers:
        model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**sizes, num_register_tokens=registers))
    else:
        model = Dinov2Model(Dinov2Config(**sizes))
    return _save(model, folder, {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]})


def make_clip(folder):
    """A whole CLIP, text tower included, 16-pixel patches; its preprocessor says nothing of colours."""
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    tower = {"hidden_size": 12, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
             "projection_dim": 8}  # fmt: skip
    config = CLIPConfig(
        text_config={**tower, "vocab_size": 50, "max_position_embeddings": 16},
        vision_config={**tower, "image_size": 32, "patch_size": 16}, projection_dim=8,
    )  # fmt: skip
    return _save(CLIPModel(config), folder, {})


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Tiny tensors gain nothing from threads."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folder of each kind of model."""
    root = tmp_path_factory.mktemp("models")
    return {
        "depth_anything": make_depth_anything(root / "depth_anything"),
        "zoedepth": make_zoedepth(root / "zoedepth"),
        "depth_pro": make_depth_pro(root / "depth_pro"),
        "detector": make_detector(root / "detector"),
        "sam2": make_sam2(root / "sam2"),
        "sam": make_sam(root / "sam"),
        "dinov2": make_dinov2(root / "dinov2"),
        "registers": make_dinov2(root / "registers", registers=4),
        "clip": make_clip(root / "clip"),
    }


@pytest.fixture(scope="session")
def prompts_file(tmp_path_factory):
    """Words that the tiny tokenizer knows."""
    path = tmp_path_factory.mktemp("prompts") / "prompts.yaml"
    path.write_text("none: [sky]\ncar: [car, vehicle]\nbus: [bus]\ntraffic_cone: [traffic cone]\n"
                    "driveable_surface: [Street]\nmanmade: [building]\n")  # fmt: skip
    return path
