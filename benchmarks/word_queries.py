# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How well queries find things: average precision of voxel scores, for names and for words that no training saw.

On a held-out tree with fine-grained names, over the voxels that cameras see of all its key frames together. Beside the
models of several seeds stand chance (the share of a name's voxels), the class-only answer (does the voxel have the
class whose prompt is nearest to the word?), the score of that prompt, and an oracle: the teacher's features, lifted by
true depth onto the same grid (the mean of the pixels in a voxel) and scored by the same rule. Where a model falls
behind the oracle, "its places" tells why: the score of the model's Gaussians with the teacher's features at their
places, so that what is missing there is missing for where and how large the Gaussians are, the rest for their features.

Run: ``python benchmarks/word_queries.py --bundles '[runs/a/bundle, runs/b/bundle]' --dataroot data/plain/val``
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from jsonargparse import auto_cli
from scipy import sparse
from tqdm import tqdm

from gsocc_core.data.build import build_dataset
from gsocc_core.data.drives import DriveDataset
from gsocc_core.data.ego_poses import camera_at
from gsocc_core.data.feature_files import open_features
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.names import NAMES_FOLDER, NameTable, read_names
from gsocc_core.data.view_labels import open_picture_folder
from gsocc_core.evaluation.score import scoring_data
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.text_features import TextFeatures
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.inference.predictor import OccupancyPredictor
from gsocc_core.inference.query import WordQueries, contrast
from gsocc_core.metrics.average_precision import average_precision
from gsocc_core.text.class_prompts import ClassPrompts
from gsocc_core.text.encoder import load_text_encoder

#: Words for names of the plain world that stand neither in its names nor in the class prompts, and that the static word
#: vectors hold for the nearest to their name of all names, with a cosine of 0.3 or more. "garbage container" (skip,
#: 0.04), "kine" (cow, 0.01) and "asphalt" (tarmac, -0.12) are words that these vectors do not know for what they are.
SYNONYMS: Mapping[str, str] = {
    "automobile": "car", "sedan": "car", "minivan": "van", "cattle": "cow", "mare": "horse", "shore": "beach",
    "home": "house", "sidewalk": "pavement", "cobbles": "cobblestone", "pipeline": "pipe",
}  # fmt: skip
#: Bars: share of the oracle, share of names above the class-only answer, share of the name's own average precision.
OF_ORACLE, ABOVE_CLASS, OF_NAME = 0.5, 0.7, 0.7


@dataclass
class Word:
    """What is known of one word.

    Attributes:
        word: The word.
        name: The fine-grained name that it asks for; its own for names.
        in_prompts: It is one of the class prompts.
        best_prompt: The class prompt nearest to it.
        cosine: Of the word and its name.
        voxels: True voxels among those that count.
        chance: Their share.
        class_only: Average precision of "the voxel has the class of ``best_prompt``", per bundle.
        prompt: Average precision of the score of ``best_prompt``, per bundle.
        model: Average precision of the word's score, per bundle.
        places: The same of the models' Gaussians with the teacher's features.
        oracle: The same of the teacher's features.
    """

    word: str
    name: str
    in_prompts: bool
    best_prompt: str
    cosine: float
    voxels: int = 0
    chance: float = 0.0
    class_only: list[float] = field(default_factory=list)
    prompt: list[float] = field(default_factory=list)
    model: list[float] = field(default_factory=list)
    places: list[float] = field(default_factory=list)
    oracle: float = 0.0

    @property
    def ap(self) -> float:
        """Mean over the bundles."""
        return float(np.mean(self.model))


def lifted(record: KeyFrame, maps: np.ndarray, depth_m: np.ndarray, grid: VoxelGrid) -> tuple[np.ndarray, np.ndarray]:
    """Mean feature of the pixels whose depth falls into a voxel.

    Args:
        record: The key frame; pinhole cameras of one size.
        maps: (V, D, h, w) features; a cell stands for its share of the picture.
        depth_m: (V, H, W) metres along the optical axis, 0 = unknown.
        grid: Where to.

    Returns:
        (M,) flat numbers of the voxels that hold a pixel, ascending, and (M, D) float32.
    """
    views, height, width = depth_m.shape
    cameras = [camera_at(record, s.camera, s.T_world_ego).resized(width, height) for s in record.shots]
    origins, directions = Cameras.stack(cameras, dtype=torch.float64).rays()
    points = (origins + torch.from_numpy(depth_m)[..., None].double() * directions).reshape(-1, 3)
    T = torch.as_tensor(np.linalg.inv(grid.T_ego_grid_matrix))
    index, inside = grid.index(points @ T[:3, :3].T + T[:3, 3])
    kept = (inside & (torch.from_numpy(depth_m).reshape(-1) > 0)).numpy()
    rows, columns = (np.arange(n) * cells // n for n, cells in zip((height, width), maps.shape[2:]))
    cell = rows[:, None] * maps.shape[3] + columns
    cell = (np.arange(views)[:, None, None] * maps.shape[2] * maps.shape[3] + cell).reshape(-1)[kept]
    flat = np.ravel_multi_index(tuple(index.numpy()[kept].T), grid.shape)
    voxels, place = np.unique(flat, return_inverse=True)
    counts = sparse.coo_matrix((np.ones(len(place), np.float32), (place, cell)), (len(voxels), maps[:, 0].size)).tocsr()
    features = counts @ maps.transpose(0, 2, 3, 1).reshape(-1, maps.shape[1])
    return voxels, features / np.asarray(counts.sum(1))


class Tree:
    """The held-out tree: true names, what counts, and the teacher's features."""

    def __init__(self, dataset: DriveDataset, features_dir: str, depth_dir: str, limit: int | None) -> None:
        self.dataset, self.root = dataset, dataset.root
        count = len(dataset)
        self.numbers = np.unique(np.linspace(0, count - 1, min(limit or count, count)).round().astype(int)).tolist()
        self.names = NameTable.load(self.root / NAMES_FOLDER / "names.json")
        first = dataset.key_frame(0)
        self._features = open_features(self.root / features_dir, first)
        self._depth = open_picture_folder(self.root / depth_dir, first.shots)

    def truth(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """(X, Y, Z) name ids, and (X, Y, Z) bool: voxels that count."""
        record = self.dataset.key_frame(number)
        names = read_names(self.root / NAMES_FOLDER, record.scene_name, record.token).voxels
        return names, np.asarray(self.dataset.voxel_labels(number).mask_camera, bool)

    def _maps(self, record: KeyFrame) -> np.ndarray:
        """(V, D, h, w) the teacher's features."""
        camera = record.shots[0].camera
        return self._features.read(record, camera.width, camera.height).astype(np.float32)

    def teacher_at(self, number: int, means_m: torch.Tensor) -> torch.Tensor:
        """(N, D) the teacher's features where points (N, 3) of the ego frame are seen; 0 where no camera sees them."""
        record = self.dataset.key_frame(number)
        maps = torch.from_numpy(self._maps(record))
        cameras = Cameras.stack([camera_at(record, s.camera, s.T_world_ego) for s in record.shots])
        uv, _, valid = cameras.project(means_m)
        result = torch.zeros(len(means_m), maps.shape[1])
        for one, places, seen in zip(maps, uv, valid):
            column = (places[seen, 0] * one.shape[2] / cameras.width).long()
            row = (places[seen, 1] * one.shape[1] / cameras.height).long()
            result[seen] = one[:, row, column].T
        return result

    def teacher(self, number: int, grid: VoxelGrid) -> tuple[np.ndarray, np.ndarray]:
        """See :func:`lifted`."""
        record = self.dataset.key_frame(number)
        camera, maps = record.shots[0].camera, self._maps(record)
        depth = self._depth.labels(record, camera.width, camera.height, "depth")
        return lifted(record, maps, depth, grid)


def chosen_words(names: NameTable, synonyms: Mapping[str, str], prompts: ClassPrompts) -> list[Word]:
    """All names, then the synonyms, as queries see them."""
    encoder = load_text_encoder(prompts.encoder)
    asked = {**{name: name for name in names.names}, **synonyms}
    near = encoder.embed(list(asked)) @ torch.nn.functional.normalize(prompts.embeddings, dim=-1).T
    own = (encoder.embed(list(asked)) * encoder.embed(list(asked.values()))).sum(-1)
    return [
        Word(word, name, word in prompts.words, prompts.words[int(near[i].argmax())], round(float(own[i]), 3))
        for i, (word, name) in enumerate(asked.items())
    ]


def score_model(tree: Tree, bundle: str, words: Sequence[Word]) -> list[float]:
    """Fill in one bundle's columns; CPU milliseconds of single queries."""
    predictor = OccupancyPredictor.load(bundle, "cpu")
    prompts = predictor.method.prompts
    assert prompts is not None
    asked = [word.word for word in words]
    classes = [predictor.classes.names.index(prompts.class_names[prompts.words.index(w.best_prompt)]) for w in words]
    best = list(dict.fromkeys(word.best_prompt for word in words))
    kept: dict[str, list[np.ndarray]] = {"names": [], "labels": [], "model": [], "prompt": [], "places": []}
    queries = WordQueries(predictor.method)
    spent_ms = []
    for number in tqdm(tree.numbers, desc=Path(bundle).parent.name, unit="frame"):
        names, counts = tree.truth(number)
        prediction = predictor.predict_frames(tree.dataset[number])
        start = time.process_time()
        predictor.query(asked[:1], prediction)
        spent_ms.append(1e3 * (time.process_time() - start))
        kept["names"].append(names[counts])
        kept["labels"].append(prediction.grid.labels.numpy()[counts])
        kept["model"].append(predictor.query(asked, prediction).scores.numpy()[:, counts])
        kept["prompt"].append(predictor.query(best, prediction).scores.numpy()[:, counts])
        scene = prediction.scene
        assert isinstance(scene, Gaussians)
        teacher = TextFeatures(tree.teacher_at(number, scene.means), None, prompts.encoder)
        kept["places"].append(queries.scores(asked, (), scene, teacher, prediction.grid).scores.numpy()[:, counts])
    found = {key: np.concatenate(parts, axis=-1) for key, parts in kept.items()}
    for i, word in enumerate(words):
        true = found["names"] == tree.names.id_of(word.name)
        word.voxels, word.chance = int(true.sum()), float(true.mean())
        word.class_only.append(average_precision((found["labels"] == classes[i]).astype(np.float32), true))
        word.prompt.append(average_precision(found["prompt"][best.index(word.best_prompt)], true))
        word.model.append(average_precision(found["model"][i], true))
        word.places.append(average_precision(found["places"][i], true))
    return spent_ms


def score_oracle(tree: Tree, bundle: str, words: Sequence[Word]) -> None:
    """Fill in the oracle's column; the bundle gives grid and class prompts."""
    method = OccupancyPredictor.load(bundle, "cpu").method
    assert method.prompts is not None
    embeddings, rivals, allowed = WordQueries(method)._rivals([w.word for w in words], (), method.prompts.encoder)  # noqa: SLF001
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    for number in tqdm(tree.numbers, desc="oracle", unit="frame"):
        names, counts = tree.truth(number)
        voxels, features = tree.teacher(number, method.grid)
        text = TextFeatures(torch.from_numpy(features), None, method.prompts.encoder)
        scores = np.zeros((len(words), names.size), np.float32)
        scores[:, voxels] = contrast(text, embeddings, rivals, allowed).T.numpy()
        kept.append((names[counts], scores[:, counts.reshape(-1)]))
    names, scores = (np.concatenate(parts, axis=-1) for parts in zip(*kept))
    for word, mine in zip(words, scores):
        word.oracle = average_precision(mine, names == tree.names.id_of(word.name))


@dataclass
class Verdict:
    """Means and bars.

    Attributes:
        names: Names that stand in no class prompt and occur.
        mean_ap: Mean over them of the models' average precision.
        mean_places: Mean over them of the models' Gaussians with the teacher's features.
        mean_oracle: Mean over them of the oracle's.
        above_class: Share of them above the class-only answer.
        above_prompt: Share of them above the score of the nearest class prompt.
        synonyms: Synonyms whose name occurs.
        mean_synonym: Mean over them.
        mean_name: Mean over them of the name's own average precision.
        query_ms: Median CPU time of a query of one word.
    """

    names: int
    mean_ap: float
    mean_places: float
    mean_oracle: float
    above_class: float
    above_prompt: float
    synonyms: int
    mean_synonym: float
    mean_name: float
    query_ms: float


def judge(words: Sequence[Word], synonyms: Mapping[str, str], spent_ms: Sequence[float]) -> Verdict:
    """Means over what occurs."""
    there = {word.word: word for word in words if word.voxels}
    outside = [w for w in there.values() if w.word not in synonyms and not w.in_prompts]
    other = [w for w in there.values() if w.word in synonyms]
    return Verdict(
        len(outside),
        float(np.mean([w.ap for w in outside])),
        float(np.mean([np.mean(w.places) for w in outside])),
        float(np.mean([w.oracle for w in outside])),
        float(np.mean([w.ap > np.mean(w.class_only) for w in outside])),
        float(np.mean([w.ap > np.mean(w.prompt) for w in outside])),
        len(other),
        float(np.mean([w.ap for w in other])),
        float(np.mean([there[w.name].ap for w in other])),
        float(np.median(spent_ms)),
    )


def markdown(words: Sequence[Word], verdict: Verdict, about: str) -> str:
    """Everything as tables."""
    head = ("word", "asks for", "prompt nearest to it", "voxels", "chance", "class only", "prompt's score", "model",
            "its places", "oracle", "of oracle")  # fmt: skip
    lines = [about, "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for w in words:
        span = f" ({100 * min(w.model):.1f} to {100 * max(w.model):.1f})" if len(w.model) > 1 else ""
        prompt = f"{w.best_prompt}{' (itself)' if w.in_prompts else ''}"
        asks = "itself" if w.word == w.name else f"{w.name}, cosine {w.cosine:.2f}"
        numbers = [w.chance, np.mean(w.class_only), np.mean(w.prompt), w.ap, np.mean(w.places), w.oracle]
        cells = [w.word, asks, prompt, str(w.voxels), *(f"{100 * n:.1f}" for n in numbers)]
        cells[7] += span
        cells.append(f"{100 * w.ap / w.oracle:.0f} %" if w.oracle else "-")
        lines.append(f"| {' | '.join(cells)} |")
    v = verdict
    bars = (
        (f"mean AP of {v.names} names outside the class prompts, of the oracle's {100 * v.mean_oracle:.1f}",
         f"{100 * v.mean_ap:.1f}: {100 * v.mean_ap / v.mean_oracle:.0f} %", OF_ORACLE, v.mean_ap / v.mean_oracle),
        ("of these, above the class-only answer", f"{100 * v.above_class:.0f} %", ABOVE_CLASS, v.above_class),
        (f"mean AP of {v.synonyms} synonyms, of their names' {100 * v.mean_name:.1f}",
         f"{100 * v.mean_synonym:.1f}: {100 * v.mean_synonym / v.mean_name:.0f} %", OF_NAME,
         v.mean_synonym / v.mean_name),
    )  # fmt: skip
    lines += ["", "| what | measured | bar | |", "|---|---|---|---|"]
    lines += [f"| {what} | {got} | {100 * bar:.0f} % | {'met' if value >= bar else 'missed'} |"
              for what, got, bar, value in bars]  # fmt: skip
    lines += [f"| of the names, above the score of the nearest prompt | {100 * v.above_prompt:.0f} % | | |"]
    lines += [f"| mean AP of the models' places with the teacher's features | {100 * v.mean_places:.1f} | | |"]
    lines += [f"| CPU time of a query of one word | {v.query_ms:.1f} ms | | |"]
    return "\n".join(lines) + "\n"


def main(
    bundles: list[str],
    dataroot: str,
    version: str = "v1.0-synthetic",
    split: str | None = "val",
    input_depth_dir: str | None = "stand_in_depth",
    input_features_dir: str | None = None,
    features_dir: str = "stand_in_features",
    depth_dir: str = "metric_3d_nusc",
    limit: int | None = None,
    synonyms: dict[str, str] | None = None,
    out: str | None = None,
) -> None:
    """Score bundles and print tables.

    Args:
        bundles: Bundles of one method and one set of class prompts, one per seed.
        dataroot: Held-out tree with names, features of the teacher and true depth.
        version: Name of the tables' folder.
        split: A split; null = all scenes.
        input_depth_dir: Folder of depth that the models get beside the pictures; null = none.
        input_features_dir: Folder of features likewise.
        features_dir: Folder of the teacher's whole features, for the oracle.
        depth_dir: Folder of true depth, for the oracle.
        limit: Only so many key frames, evenly spread.
        synonyms: Word -> name that it asks for; null = those for the plain world.
        out: Write <out>.json and <out>.md too.
    """
    torch.set_num_threads(1)
    data = scoring_data(
        dataroot, version, split, input_depth_dir=input_depth_dir, input_features_dir=input_features_dir
    )
    first = OccupancyPredictor.load(bundles[0], "cpu")
    assert first.method.prompts is not None
    tree = Tree(build_dataset(data, first.image_size), features_dir, depth_dir, limit)
    asked = SYNONYMS if synonyms is None else synonyms
    words = chosen_words(tree.names, asked, first.method.prompts)
    spent_ms: list[float] = []
    for bundle in bundles:
        spent_ms += score_model(tree, bundle, words)
    score_oracle(tree, bundles[0], words)
    verdict = judge(words, asked, spent_ms)
    about = f"{len(bundles)} bundles, {len(tree.numbers)} key frames of {dataroot}; average precision in %."
    text = markdown(words, verdict, about)
    print(text)
    if out is not None:
        Path(f"{out}.md").write_text(text, encoding="utf-8")
        content = {"bundles": bundles, "frames": len(tree.numbers), "words": [asdict(w) for w in words],
                   "verdict": asdict(verdict)}  # fmt: skip
        Path(f"{out}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
