# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Names of the detailed world: many, each within one class, and every thing of a street has the one that fits."""

import numpy as np
import pytest

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.errors import ConfigError
from gsocc_core.synthetic.world import scenery
from gsocc_core.synthetic.world.detailed import DETAILED, name_id
from gsocc_core.synthetic.world.materials import Palette

NAMES = DETAILED.names
CLASSES = OCC3D_NUSCENES.names[:17]
#: Classes whose own name is a plain word for what is in them.
PLAIN_WORDS = {"car", "bus", "bicycle", "motorcycle"}


@pytest.fixture(scope="module")
def scenes(street_3, street_5):
    return street_3, street_5


def meshes(scene):
    return [scene.static, *(actor.mesh for actor in scene.actors)]


def found(scene):
    """Names that occur on triangles or in paint."""
    ids = np.concatenate([*(mesh.name_ids for mesh in meshes(scene)), scene.paint[..., 2].ravel()])
    return {NAMES.names[i] for i in np.unique(ids) if i != 255}


def test_the_table_begins_with_the_classes_and_has_finer_names_in_nearly_all_of_them():
    assert NAMES.names[:17] == CLASSES
    assert NAMES.class_ids[:17] == tuple(range(17))
    assert len(NAMES.names) - 17 >= 60
    assert {CLASSES[i] for i in NAMES.class_ids[17:]} == set(CLASSES) - {"bus"}
    assert CLASSES[NAMES.class_ids[name_id("pram")]] == "others"
    assert CLASSES[NAMES.class_ids[name_id("zebra crossing")]] == "driveable_surface"
    with pytest.raises(ConfigError, match="one of others, barrier"):
        name_id("unicorn")


def test_every_triangle_has_a_name_of_its_class(scenes):
    class_of = NAMES.class_of_name()
    for scene in scenes:
        for mesh in meshes(scene):
            np.testing.assert_array_equal(class_of[mesh.name_ids], mesh.class_ids)
        painted = np.unique(scene.paint[..., 2])
        assert set(class_of[painted[painted != 255]]) == {DETAILED.road_id}


def test_two_streets_have_most_names_and_only_plain_words_from_the_classes(scenes):
    names = set.union(*map(found, scenes))
    assert len(names - set(CLASSES)) >= 50
    assert names & set(CLASSES) <= PLAIN_WORDS
    assert {"dog", "pram", "waste bin", "street lamp", "bench", "zebra crossing", "garage door"} <= names


def test_an_actor_has_one_name_and_it_fits_its_category(scenes):
    expected = {
        "animal": {"dog"},
        "human.pedestrian.stroller": {"pram"},
        "movable_object.pushable_pullable": {"waste bin"},
        "movable_object.debris": {"box"},
        "human.pedestrian.child": {"child"},
        "human.pedestrian.adult": {"adult"},
        "human.pedestrian.construction_worker": {"adult"},
        "vehicle.car": {"car", "van"},
        "vehicle.bus.rigid": {"bus"},
        "vehicle.truck": {"box truck", "dump truck", "tank truck", "pickup"},
        "vehicle.trailer": {"box trailer", "flatbed trailer", "tank trailer"},
        "vehicle.construction": {"excavator", "wheel loader", "road roller"},
        "movable_object.barrier": {"concrete barrier", "plastic barrier", "barrier board", "steel fence"},
        "movable_object.trafficcone": {"traffic cone", "bollard"},
    }
    with_rider = {"vehicle.bicycle": {"cyclist"}, "vehicle.motorcycle": {"motorcyclist"}}
    without = {"vehicle.bicycle": {"bicycle"}, "vehicle.motorcycle": {"motorcycle", "scooter"}}
    for actor in (actor for scene in scenes for actor in scene.actors):
        (name,) = {NAMES.names[i] for i in actor.mesh.name_ids}
        cycles = without if actor.attribute == "cycle.without_rider" else with_rider
        assert name in (expected | cycles)[actor.category]


def test_kerbs_are_upright_and_pavements_flat(scenes):
    for static in (scene.static for scene in scenes):
        a, b, c = (static.vertices_m[static.triangles[:, k]].astype(float) for k in range(3))
        normal = np.cross(b - a, c - a)
        rise = np.abs(normal[:, 2]) / np.linalg.norm(normal, axis=1).clip(1e-12)
        assert rise[static.name_ids == name_id("kerb")].max() < 0.1
        for name in ("road", "pavement"):
            assert rise[static.name_ids == name_id(name)].min() > 0.9


@pytest.mark.parametrize("roof", ["gable", "flat", "hall"])
def test_the_parts_of_a_building_are_where_their_names_say(roof):
    """Lowest and highest point of each part over 20 buildings of 9 m to the eaves, 12 m wide and 8 m deep."""
    low, high = {}, {}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        mesh = scenery.building(rng, Palette(rng), 12.0, 8.0, 9.0, roof)
        z = mesh.vertices_m[mesh.triangles][..., 2]
        for i in np.unique(mesh.name_ids):
            name = NAMES.names[i]
            low[name] = min(low.get(name, 99.0), z[mesh.name_ids == i].min())
            high[name] = max(high.get(name, 0.0), z[mesh.name_ids == i].max())
    body = "warehouse" if roof == "hall" else "apartment block"
    parts = {"garage door"} if roof == "hall" else {"door", "doorstep", "balcony"}
    parts |= {"gable": {"chimney"}, "flat": {"awning", "shop sign"}, "hall": set()}[roof]
    assert set(low) == {body, "roof"} | parts
    assert low["roof"] > (8.0 if roof == "gable" else 8.99)
    assert low[body] < 0.0
    if roof == "hall":
        assert high["garage door"] == pytest.approx(4.0)
        return
    assert high["door"] == pytest.approx(2.1)
    assert high["doorstep"] == pytest.approx(0.15)
    assert 3.0 < low["balcony"] < high["balcony"] < 9.0
    if roof == "gable":
        assert high["chimney"] > high["roof"]
    else:
        assert 2.6 < min(low["awning"], low["shop sign"]) < max(high["awning"], high["shop sign"]) < 3.4


def test_a_low_building_is_a_house():
    rng = np.random.default_rng(0)
    assert name_id("house") in scenery.building(rng, Palette(rng), 12.0, 8.0, 5.0, "gable").name_ids
