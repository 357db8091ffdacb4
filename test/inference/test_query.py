# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Words asked of a prediction, against the rule written out by hand; and bundles that carry class prompts."""

import math
import shutil
import threading
from fnmatch import fnmatch
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gsocc_core import OccupancyPredictor, SemanticGrid, TextFeatures, VoxelField
from gsocc_core.errors import BundleError, ConfigError, ShapeError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.inference import found
from gsocc_core.inference.bundle import load_bundle, save_bundle
from gsocc_core.inference.query import TEMPERATURE, WordQueries, contrast
from gsocc_core.methods.build import build_method
from gsocc_core.synthetic.world.plain_things import CLASSES
from gsocc_core.text.class_prompts import ClassPrompts
from gsocc_core.text.encoder import load_text_encoder

from ..worded import GRID, MEANS, NAME, listed  # noqa: TID252 - tests are no package, helpers live beside them

#: What stands at the four places.
HELD = ("bus", "oak", "crate", "horse")
WORDS = {"road": "road", "vehicle": "vehicle", "tree": "tree", "animal": "animal", "container": "container",
         "sky": "free"}  # fmt: skip
K = np.array([[60.0, 0, 32], [0, 60.0, 16], [0, 0, 1]])


@pytest.fixture(scope="module")
def encoder():
    return load_text_encoder("wordllama")


@pytest.fixture(scope="module")
def prompts(encoder):
    return ClassPrompts(tuple(WORDS), tuple(WORDS.values()), encoder.embed(tuple(WORDS)), encoder.name)


@pytest.fixture(autouse=True)
def _listed(monkeypatch):
    listed(monkeypatch)


@pytest.fixture
def method(encoder, prompts):
    built = build_method(NAME, {}, CLASSES, pretrained=False, prompts=prompts)
    with torch.no_grad():
        built.aligned.copy_(3.0 * encoder.embed(HELD))  # their length does not count
    return built


@pytest.fixture
def bundle(method, tmp_path):
    save_bundle(tmp_path / "worded", NAME, {}, method, "# words\n", half=False)
    return tmp_path / "worded"


def predict(bundle, **kwargs):
    predictor = OccupancyPredictor.load(bundle, device="cpu")
    camera = Camera("front", K, np.eye(4), 64, 32)
    return predictor, predictor.predict([np.zeros((32, 64, 3), np.uint8)], [camera], **kwargs)


def voxel(number):
    index, _ = GRID.index(torch.tensor(MEANS[number]))
    return tuple(index.tolist())


def test_a_bundle_carries_its_class_prompts(bundle, prompts, monkeypatch):
    assert {path.name for path in bundle.iterdir()} == {
        "README.md", "classes.yaml", "config.yaml", "model.safetensors", "prompts.safetensors",
    }  # fmt: skip
    assert not any("embedding" in name for name in load_file(bundle / "model.safetensors"))
    monkeypatch.setattr("gsocc_core.text.static_words.find_spec", lambda name: None)  # occupancy needs no encoder
    predictor, prediction = predict(bundle)
    assert predictor.method.prompts.same_as(prompts)
    assert predictor.classes.channel_ids == (1, 6, 5, 7, 8, 0)
    labels = [CLASSES.names[prediction.grid.labels[voxel(i)]] for i in range(4)]
    assert labels[:2] + labels[3:] == ["vehicle", "tree", "animal"]
    assert prediction.text.values.shape == (4, 256)


def test_a_bundle_without_the_prompts_that_it_needs_or_with_damaged_ones_is_named(bundle, tmp_path, prompts):
    broken = tmp_path / "broken"
    shutil.copytree(bundle, broken)
    (broken / "prompts.safetensors").write_bytes(b"nothing")
    with pytest.raises(BundleError, match="prompts.safetensors: content: expected class prompts"):
        load_bundle(broken)
    (broken / "prompts.safetensors").unlink()
    with pytest.raises(BundleError, match="prompts.safetensors: expected the class prompts that worded needs.*no such"):
        load_bundle(broken)
    ClassPrompts(("tram",), ("tram",), torch.ones(1, 256), "wordllama").save(broken / "prompts.safetensors")
    with pytest.raises(ConfigError, match="tram: expected a class among"):
        load_bundle(broken)


def test_a_bundle_from_the_hub_brings_its_prompts(bundle, monkeypatch):
    asked = {}

    def snapshot_download(name, allow_patterns):
        asked["patterns"] = allow_patterns
        return str(bundle)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert load_bundle("owner/worded").method.prompts is not None
    assert any(fnmatch("prompts.safetensors", pattern) for pattern in asked["patterns"])
    assert not any(fnmatch("model.pth", pattern) for pattern in asked["patterns"])


def expected_score(encoder, held, word, rivals):
    """exp(c / t) of the word over the same sum of the word and its rivals."""
    feature = encoder.embed([held])[0]
    mine, *others = (math.exp(float(feature @ e) / TEMPERATURE) for e in encoder.embed([word, *rivals]))
    return mine / (mine + sum(others))


def test_scores_are_a_softmax_over_the_word_and_the_prompts_of_other_classes(bundle, encoder):
    predictor, _ = predict(bundle)
    found = predictor.query(["Bus", "automobile", "oak"])
    assert found.words == ("bus", "automobile", "oak")
    assert found.grid == GRID
    assert found.scores.shape == (3, 8, 8, 2)
    assert found.observed is None
    for number, held in enumerate(HELD):
        for row, (word, own) in enumerate((("bus", "vehicle"), ("automobile", "vehicle"), ("oak", None))):
            rivals = [name for name in WORDS if name != (own or "tree")]
            expected = expected_score(encoder, held, word, rivals)
            assert float(found.scores[row][voxel(number)]) == pytest.approx(expected, abs=1e-5), (word, held)
    assert found.scores[:2].amax() == found.scores[0][voxel(0)]
    assert found.scores[0][voxel(0)] > 0.9
    assert found.scores[0][voxel(3)] < 0.5


def test_free_voxels_score_nothing(bundle):
    predictor, prediction = predict(bundle)
    scores = predictor.query(["bus"]).scores[0]
    assert 0 < int(prediction.grid.occupied.sum()) < scores.numel()
    assert bool((scores[~prediction.grid.occupied] == 0).all())
    assert bool((scores[prediction.grid.occupied] > 0).all())


def test_negatives_take_the_place_of_the_class_prompts(bundle, encoder):
    predictor, prediction = predict(bundle)
    found = predictor.query(["bus", "crate"], prediction, negatives=("Crate", "horse"))
    assert float(found.scores[0][voxel(0)]) == pytest.approx(
        expected_score(encoder, "bus", "bus", ["crate", "horse"]), abs=1e-5
    )
    assert float(found.scores[1][voxel(2)]) == pytest.approx(
        expected_score(encoder, "crate", "crate", ["horse"]), abs=1e-5
    )


def test_a_basis_changes_nothing_that_lies_in_it(method, encoder, prompts, tmp_path):
    words = [*HELD, *WORDS, "automobile"]
    method.basis = torch.linalg.qr(encoder.embed(words).T)[0]
    output = method(SimpleNamespace(images=torch.zeros(1, 1, 1, 3, 32, 64)))
    assert output.text.values.shape == (1, 4, len(words))
    text = output.text.map(lambda t: t[0])
    pair = (encoder.embed(["automobile"]), prompts.embeddings, torch.ones(1, len(WORDS), dtype=torch.bool))
    plain = TextFeatures(3.0 * encoder.embed(HELD), None, "wordllama")
    torch.testing.assert_close(contrast(text, *pair), contrast(plain, *pair), atol=1e-5, rtol=0)


def test_a_field_is_compared_voxel_by_voxel(method, encoder):
    ids = torch.randint(0, 4, GRID.shape)
    labels = torch.where(ids == 3, CLASSES.free_id, 6).to(torch.uint8)
    text = TextFeatures(encoder.embed(HELD)[ids], None, "wordllama")
    scene = VoxelField(torch.ones(GRID.shape), torch.zeros(*GRID.shape, 1), GRID)
    seen = torch.rand(GRID.shape) > 0.5
    grid = SemanticGrid(labels, GRID, CLASSES, observed=seen)
    found = WordQueries(method).scores(["bus"], (), scene, text, grid)
    rivals = [name for name in WORDS if name != "vehicle"]
    for number, held in enumerate(HELD):
        expected = expected_score(encoder, held, "bus", rivals) if held != "horse" else 0.0
        part = found.scores[0][ids == number]
        torch.testing.assert_close(part, torch.full_like(part, expected))
    assert found.observed is seen
    with pytest.raises(ShapeError, match=r"text.values: expected \(8, 8, 2, 'E'\), received \(4, 'E'\)"):
        WordQueries(method).scores(["bus"], (), scene, TextFeatures(torch.ones(4, 256), None, "wordllama"), grid)


def test_what_cannot_be_asked_is_one_clear_error(bundle, tmp_path, method, monkeypatch):
    fresh = OccupancyPredictor.load(bundle, device="cpu")
    with pytest.raises(
        ConfigError, match="query: prediction: expected one, or a call of predict before, received none"
    ):
        fresh.query(["bus"])
    predictor, _ = predict(bundle)
    for words, negatives, message in (
        ([], (), "query: words: expected at least one word, received none"),
        (["bus", " "], (), r"query: words\[1\]: expected a phrase of at least one word"),
        (["bus"] * 10_000, (), "query: words: expected at most 64, received 10000"),
        (["bus"], ["x"] * 65, "query: negatives: expected at most 64, received 65"),
        (["🦄"], (), "letters that the encoder knows"),
        (["bus"], ["BUS"], "query: negatives: expected words to tell 'bus' from, received none"),
    ):
        with pytest.raises(ConfigError, match=message):
            predictor.query(words, negatives=negatives)
    predictor.reset()
    with pytest.raises(ConfigError, match="a call of predict before"):
        predictor.query(["bus"])


def test_scenes_without_text_features_and_other_encoders_are_named(bundle, tmp_path, method, prompts):
    method.telling = False
    save_bundle(tmp_path / "silent", NAME, {"telling": False}, method, "# silent\n")
    predictor, prediction = predict(tmp_path / "silent")
    assert prediction.text is None
    with pytest.raises(ConfigError, match="expected a scene with text features, received a prediction of Worded"):
        predictor.query(["bus"], prediction)
    with pytest.raises(ConfigError, match="a scene with text features, received the last one of Worded, which has no"):
        predictor.query(["bus"])
    del prediction
    assert predictor._prediction is None, "a scene that nothing can be asked of is not held"
    predictor, _ = predict(bundle)
    predictor.method.prompts = None
    with pytest.raises(ConfigError, match="in the bundle, received none"):
        predictor.query(["bus"])
    assert predictor.query(["bus"], negatives=["horse"]).scores.amax() > 0.9


def test_words_are_checked_before_there_is_a_prediction(bundle, monkeypatch):
    predictor = OccupancyPredictor.load(bundle, device="cpu")
    assert predictor.prepare_query([" Bus", "garbage  can"]) == ("bus", "garbage can")
    for words, message in (
        ([], "at least one word"), (["x"] * 65, "at most 64"), (["🦄"], "letters that the encoder"),
        (["bus", "oak", " Bus"], "query: words: expected every phrase once, received 'bus' again"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            predictor.prepare_query(words)
    for negatives, message in (
        (["oak", "cat", "Oak"], ": expected every phrase once, received 'oak' again"),
        (["oak", " "], r"\[1\]: expected a phrase of at least one word"), ("oak", ": expected a list of phrases"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=f"query: negatives{message}"):
            predictor.prepare_query(["bus"], negatives)
    monkeypatch.setattr("gsocc_core.inference.query.load_text_encoder", lambda name: pytest.fail("loaded already"))
    camera = Camera("front", K, np.eye(4), 64, 32)
    predictor.predict([np.zeros((32, 64, 3), np.uint8)], [camera])
    predictor.query(["bus"])
    predictor.method.prompts = None
    with pytest.raises(
        ConfigError, match="query: bundle: expected a method with text features.*received Worded, which has none"
    ):
        predictor.prepare_query(["bus"])


def test_a_warm_predictor_compiles_nothing_for_its_first_answer(bundle, monkeypatch):
    walked, walk = [], found.group_voxels

    def watched(*arguments):
        walked.append([(type(a), a.dtype, a.ndim) for a in arguments])
        return walk(*arguments)

    monkeypatch.setattr(found, "group_voxels", watched)
    monkeypatch.setattr("gsocc_core.inference.query.load_text_encoder", lambda name: pytest.fail("no word was asked"))
    OccupancyPredictor.load(bundle, device="cpu").warm_up()
    (warm,) = walked
    monkeypatch.undo()
    listed(monkeypatch)
    monkeypatch.setattr(found, "group_voxels", watched)
    found.find_clusters(found.find_voxels(predict(bundle)[0].query(["bus"])))
    assert walked == [warm, warm]


def test_threads_may_ask_at_once(method, encoder):
    """Standing queries of one thread and a service of another: no word may get lost while the store is emptied."""
    asked, failed = WordQueries(method), []

    def ask(letter):
        try:
            for number in range(600):
                asked.prepare([f"{letter} {number}", "dog"])
        except Exception as error:  # noqa: BLE001 - whatever it is
            failed.append(error)

    threads = [threading.Thread(target=ask, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.fixture
def moved(method, prompts, tmp_path):
    """Saves a bundle whose training called its encoder by another name."""

    def save(name):
        method.prompts = ClassPrompts(prompts.words, prompts.class_names, prompts.embeddings, name)
        save_bundle(tmp_path / "moved", NAME, {}, method, "# moved\n", half=False)
        return tmp_path / "moved"

    return save


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("clip:models/clip/base", "models/clip/base"),
        ("clip:./clip", "./clip"),
        ("talk2dino:openai/clip-vit-base-patch16:weights/p.safetensors", "weights/p.safetensors"),
    ],
)
def test_an_encoder_whose_files_lie_elsewhere_is_named_anew(bundle, moved, name, missing, monkeypatch):
    def load(name):
        pytest.fail(f"looked for {name}, maybe on the hub")

    expected = predict(bundle)[0].query(["automobile", "oak"]).scores
    path = moved(name)
    with monkeypatch.context() as patch:
        patch.setattr("gsocc_core.inference.query.load_text_encoder", load)
        told = f"moved: text encoder: expected files that are here; name yours as --text_encoder, .*, received {name}: "
        with pytest.raises(ConfigError, match=f"{told}no file or folder {missing}"):
            predict(path)[0].query(["automobile"])
    predictor = OccupancyPredictor.load(path, "cpu", text_encoder="wordllama")
    predictor.predict([np.zeros((32, 64, 3), np.uint8)], [Camera("front", K, np.eye(4), 64, 32)])
    torch.testing.assert_close(predictor.query(["automobile", "oak"]).scores, expected)


def test_another_encoder_is_refused_whatever_it_is_called(bundle, moved, prompts, encoder, monkeypatch, tmp_path):
    class Other:
        name, dim = "wordllama", 256

        def __init__(self, change):
            self.embed = lambda words: change(encoder.embed(words))

    told = "worded: text encoder: expected the encoder of the class prompts, wordllama, received wordllama"
    for change, message in (
        (lambda e: e.roll(1, dims=1), ": its '[a-z]*' has a cosine of -?0.[0-9]{2} with theirs"),
        (lambda e: e[:, :128], ", which gives 128 numbers, not 256"),
    ):
        monkeypatch.setattr("gsocc_core.inference.query.load_text_encoder", lambda name, c=change: Other(c))
        with pytest.raises(ConfigError, match=told + message):
            predict(bundle)[0].query(["bus"], negatives=["oak"])
    rounded = Other(lambda e: torch.nn.functional.normalize(e + 0.002, dim=-1))
    monkeypatch.setattr("gsocc_core.inference.query.load_text_encoder", lambda name: rounded)
    assert predict(bundle)[0].query(["bus"]).scores.amax() > 0.8
    monkeypatch.undo()
    listed(monkeypatch)
    with pytest.raises(
        ConfigError, match="moved: text encoder: expected .* of type clip.*; or another name as --text_"
    ):
        predict(moved(f"clip:{tmp_path}"))[0].query(["bus"])
