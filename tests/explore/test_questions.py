"""Each question against a known truth: what was planted is found, and nothing else is."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import adjusted_mutual_info_score, roc_auc_score
from small_pictures import groups, pictures, shifted

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.explore import clusters, duplicates, label_doubts, map, outliers, representation
from deepinfomax.explore.analysis import VOTERS, explore, united, view
from deepinfomax.explore.collection import Collection
from deepinfomax.explore.nearest import nearest
from deepinfomax.explore.page import _chance, added, compared, map_data
from deepinfomax.explore.representation import of_pixels, of_vectors, reduced_vectors, unit


def test_nearest_is_what_a_loop_finds_and_never_the_image_itself() -> None:
    vectors = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    vectors[7] = vectors[3]  # a twin
    found = nearest(vectors, 4)
    for i in range(40):
        far = np.linalg.norm(vectors - vectors[i], axis=1)
        far[i] = np.inf
        assert set(found.index[i].tolist()) == set(np.argsort(far)[:4].tolist())
        np.testing.assert_allclose(found.distance[i], np.sort(far)[:4], atol=1e-5)
    assert found.index[7, 0] == 3


def test_many_twins_are_still_others() -> None:
    found = nearest(np.ones((9, 3), np.float32), 3)
    assert found.index.shape == (9, 3)
    assert not (found.index == np.arange(9)[:, None]).any()


@pytest.mark.parametrize("by", ["openTSNE", "scikit-learn", "a sample"])
def test_the_map_keeps_groups_together(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if by != "openTSNE":
        monkeypatch.setattr(map, "find_spec", lambda name: None)
    if by == "a sample":
        monkeypatch.setattr(map, "MOST_LAID_OUT", 100)
    vectors, of = groups((60, 60, 60))
    near = nearest(unit(vectors), 60)
    places = map.layout(unit(vectors), near, seed=0)
    assert places.shape == (180, 2)
    assert np.abs(places).max() == pytest.approx(1)
    assert (of[nearest(places, 5).index] == of[:, None]).mean() > 0.95
    assert np.array_equal(places, map.layout(unit(vectors), near, seed=0))
    assert 0.2 < map.kept_neighbours(places, near) <= 1


def test_groups_with_gaps_are_found_by_density() -> None:
    vectors, of = groups((80, 50, 30))
    found = clusters.clusters(unit(vectors), seed=0)
    assert found.method == "hdbscan"
    assert len(found) == 3
    inside = found.of >= 0
    assert adjusted_mutual_info_score(of[inside], found.of[inside]) > 0.99
    assert [len(members) for members in found.central] == sorted((len(m) for m in found.central), reverse=True)
    first = found.central[0]
    middle = unit(vectors)[first].mean(0)
    far = np.linalg.norm(unit(vectors)[first] - middle, axis=1)
    assert np.array_equal(far, np.sort(far))


def test_images_without_gaps_are_cut_by_k_means() -> None:
    vectors = np.random.default_rng(0).standard_normal((400, 12)).astype(np.float32)
    found = clusters.clusters(unit(vectors), seed=0)
    assert found.method == "k-means"
    assert len(found) == clusters.parts_of(400) == 4
    assert (found.of >= 0).all()
    assert [clusters.parts_of(n) for n in (10, 1000, 10_000, 100_000)] == [2, 6, 20, 40]


def test_correlation_is_what_a_loop_over_shifts_finds() -> None:
    rng = np.random.default_rng(0)
    a, b = (torch.from_numpy(rng.integers(0, 256, (3, 3, 12, 12)).astype(np.float32)) for _ in range(2))
    b[1] = torch.from_numpy(shifted(a[1].numpy(), 2, -1))
    reach = 2
    best = duplicates.best_correlation(a, b, reach)
    for p in range(3):
        middle = a[p, :, reach:-reach, reach:-reach].numpy().ravel()
        values = [
            np.corrcoef(middle, b[p, :, y : y + 8, x : x + 8].numpy().ravel())[0, 1]
            for x in range(2 * reach + 1)
            for y in range(2 * reach + 1)
        ]
        assert float(best[p]) == pytest.approx(max(values), abs=1e-4)
    assert float(best[1]) == pytest.approx(1, abs=1e-5)


def test_noise_below_two_grey_levels_is_nothing_to_compare_by() -> None:
    faint = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (1, 3, 32, 32)).astype(np.float32))
    assert duplicates.best_correlation(faint, faint).tolist() == [0]
    assert duplicates.best_correlation(4 * faint, 4 * faint).item() == pytest.approx(1, abs=1e-4)
    assert duplicates.best_correlation(4 * faint, faint).tolist() == [0]  # either of the two


def test_planted_copies_are_found_and_flat_images_are_not_alike() -> None:
    images = pictures(60, side=32)
    copies = [
        images[0],  # stored twice
        shifted(images[1], 2, -2),
        (images[2] * 0.7).astype(np.uint8),
        _as_jpeg(images[3]),
        np.full((3, 32, 32), 200, np.uint8),  # two flat images, of different brightness
        np.full((3, 32, 32), 40, np.uint8),
    ]
    both = np.concatenate([images, np.stack(copies)])
    level = duplicates.levelled(ImageSet(both))
    near = nearest(of_pixels(level, seed=0).unit, 10)
    found = duplicates.duplicates(both, duplicates.candidates(near))
    assert {tuple(pair) for pair in found.pairs.tolist()} == {(0, 60), (1, 61), (2, 62), (3, 63)}
    assert found.pairs[0].tolist() == [0, 60]
    assert found.identical.tolist() == [True, False, False, False]
    parts = np.array(["train"] * 60 + ["test"] * 6)
    assert found.across(parts).all()
    assert not found.across(None).any()


@pytest.mark.parametrize("count", [duplicates.CANDIDATES + 5, duplicates.MOST_TWINS + 5])
def test_however_many_copies_there_are_all_are_found_and_their_likes_too(count: int) -> None:
    images = pictures(40, side=32)
    darker = (images[7] * 0.8).astype(np.uint8)
    both = np.concatenate([images, np.repeat(images[7:8], count, 0), np.repeat(darker[None], count, 0)])
    first = duplicates.twins(both)
    copies, dark = [7, *range(40, 40 + count)], [*range(40 + count, 40 + 2 * count)]
    assert [np.flatnonzero(first == i).tolist() for i in (7, 40 + count)] == [copies, dark]
    level = of_pixels(duplicates.levelled(ImageSet(both)), seed=0)
    found = duplicates.duplicates(both, duplicates.proposed(level.unit, first), first=first)
    listed = {tuple(pair) for pair in found.pairs.tolist()}
    assert len(listed) == len(found)
    if count < duplicates.MOST_TWINS:
        assert listed == {(i, j) for i in copies + dark for j in copies + dark if i < j}
        same = {tuple(pair) for pair in found.pairs[found.identical].tolist()}
        assert same == {(i, j) for group in (copies, dark) for i in group for j in group if i < j}
    else:
        assert listed == {(c[0], i) for c in (copies, dark) for i in c[1:]} | {(7, dark[0])}
    assert [group.tolist() for group in found.groups()] == [copies + dark]
    vectors = np.repeat(groups((30,))[0], 2, 0)
    vectors[4:20] = vectors[4]
    by_vectors = duplicates.duplicates_by_vectors(unit(vectors))
    assert {(i, j) for i in range(4, 20) for j in range(i + 1, 20)} <= {tuple(p) for p in by_vectors.pairs.tolist()}


def test_what_is_cut_away_tells_two_images_apart() -> None:
    images = pictures(20)
    images[1] = images[2] = images[0]
    whole = [b"one", b"other", b"one", *(str(i).encode() for i in range(3, 20))]
    found = duplicates.duplicates(images, np.array([[3, 4]]), stored=lambda positions: [whole[i] for i in positions])
    assert found.pairs.tolist() == [[0, 2], [0, 1], [1, 2]]
    assert found.identical.tolist() == [True, False, False]
    assert found.alike.tolist() == [1, 1, 1]


def test_twins_of_any_shape_are_what_a_loop_finds() -> None:
    rows = np.random.default_rng(0).integers(0, 2, (200, 2, 3))
    first = [next(j for j in range(200) if np.array_equal(rows[i], rows[j])) for i in range(200)]
    assert duplicates.twins(rows).tolist() == first


def test_an_image_stored_often_makes_no_other_strange() -> None:
    vectors, _ = groups((60,))
    many = np.concatenate([vectors, np.repeat(vectors[:1], 40, 0)])
    collection = Collection("many", [str(i) for i in range(100)])
    scores = explore(collection, of_vectors(many, seed=0)).main.outliers
    np.testing.assert_allclose(scores[60:], scores[0])
    assert scores.max() < 2
    same = Collection("same", [str(i) for i in range(20)])
    with pytest.raises(UserError, match="all 20 rows of same are the same"):
        explore(same, of_vectors(np.ones((20, 4), np.float32), seed=0))


def test_two_kinds_of_vectors_are_cut_into_no_more_parts() -> None:
    two = np.repeat(np.eye(2, dtype=np.float32), 500, 0)
    assert len(clusters.clusters(two, seed=0)) == 2


def test_images_of_one_colour_have_no_components() -> None:
    flat = ImageSet(np.full((12, 3, 8, 8), 7, np.uint8) + np.arange(12, dtype=np.uint8)[:, None, None, None])
    level = of_pixels(duplicates.levelled(flat), seed=0)
    assert level.says == "raw pixels, the same for all images"
    assert len(level.vectors) == 12
    assert not level.vectors.any()


def test_chance_counts_neighbours_without_a_label() -> None:
    labels = np.full(1000, -1)
    labels[:100] = np.arange(100) % 2
    collection = Collection("few", [str(i) for i in range(1000)], None, None, labels, ("a", "b"))
    shared = [(labels[i] == labels[j]) for i in range(100) for j in range(1000) if i != j]
    assert _chance(collection) == pytest.approx(np.mean(shared))


def test_copies_of_copies_are_one_group() -> None:
    pairs = np.array([[1, 5], [5, 9], [2, 3]])
    found = duplicates.Duplicates(pairs, np.ones(3), np.zeros(3, bool), True)
    assert [group.tolist() for group in found.groups()] == [[1, 5, 9], [2, 3]]
    assert [rows.tolist() for _, rows in found.groups_with_pairs()] == [[0, 1], [2]]
    none = duplicates.Duplicates(pairs[:0], np.ones(0), np.zeros(0, bool), True)
    assert none.groups() == []
    assert not list(none.groups_with_pairs())


def test_vectors_alone_find_pairs_much_closer_than_other_neighbours() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((200, 8)).astype(np.float32)
    vectors[199] = vectors[4] + 0.02 * rng.standard_normal(8)
    found = duplicates.duplicates_by_vectors(unit(vectors))
    assert found.pairs.tolist() == [[4, 199]]
    assert not found.checked


@pytest.mark.parametrize("units", [2, 3, 4])
def test_in_few_dimensions_chance_makes_no_near_copies(units: int) -> None:
    vectors = np.random.default_rng(0).standard_normal((300, units)).astype(np.float32)
    vectors[299] = vectors[4] + 1e-6
    found = duplicates.duplicates_by_vectors(unit(vectors))
    assert [4, 299] in found.pairs.tolist()
    assert len(found) < 5


@pytest.mark.parametrize("share", [0.1, 1])
def test_groups_of_near_copies_are_found(share: float) -> None:
    rng = np.random.default_rng(0)
    others = rng.standard_normal((int(20 * 8 / share) - 20 * 8, 16))
    copies = np.repeat(rng.standard_normal((20, 16)), 8, 0) + 1e-3 * rng.standard_normal((20 * 8, 16))
    found = duplicates.duplicates_by_vectors(unit(np.concatenate([copies, others]).astype(np.float32)))
    assert [len(group) for group in found.groups()].count(8) >= 19


@pytest.mark.parametrize("count", [1, 2, 12])
def test_equal_vectors_alone_are_pairs(count: int) -> None:
    found = duplicates.duplicates_by_vectors(np.ones((count, 4), np.float32))
    assert found.pairs.tolist() == [[i, j] for i in range(count) for j in range(i + 1, count)]
    assert (found.alike == 1).all()


def test_a_pair_counts_by_the_narrower_of_two_neighbourhoods() -> None:
    angle = np.linspace(-0.2, 0.2, 9) + np.pi
    flat = np.concatenate([[[0, 0], [0.45, 0]], np.stack([np.cos(angle), np.sin(angle)], 1)])
    found = duplicates.duplicates_by_vectors(unit(np.concatenate([0.01 * flat, np.ones((11, 1))], 1)))
    assert [0, 1] not in found.pairs.tolist()  # 0.45 of one's neighbourhood, 0.31 of the other's


def test_shares_are_of_the_ten_nearest_and_of_labelled_images() -> None:
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(3), 40)
    vectors = (3 * np.eye(3)[of] + 0.3 * rng.standard_normal((120, 3))).astype(np.float32)
    labels = np.where(rng.random(120) < 0.3, -1, of)
    collection = Collection("three", [str(i) for i in range(120)], labels=labels, classes=("a", "b", "c"))
    by = of_vectors(vectors, seed=0)
    found = view(collection, by, np.arange(120), np.zeros((0, 2), np.int64), seed=0)
    known = np.flatnonzero(labels >= 0)
    near = nearest(by.unit, VOTERS).index
    assert found.same_class == pytest.approx(np.mean([np.mean(labels[near[i]] == labels[i]) for i in known]))
    agreed = adjusted_mutual_info_score(labels[known], found.clusters.of[known])
    assert found.cluster_agreement == pytest.approx(agreed)


def test_a_small_collection_counts_the_neighbours_that_there_are() -> None:
    images, labels = pictures(10), np.arange(10) % 2
    pixels = of_pixels(ImageSet(images), seed=0)
    explored = explore(Collection("few", list("abcdefghij"), images, labels=labels), pixels, pixels)
    assert "Of an image's 9 nearest" in added(explored)
    assert explored.control is not None
    main, control = replace(explored.main, same_class=0.529), replace(explored.control, same_class=0.5246)
    assert "52.9% have its class by the pixels, as many as by pixels (52.5%)" in added(
        replace(explored, main=main, control=control)
    )
    assert {row.says for row in compared(explored)} >= {
        "share of the 9 nearest with an image's class; by chance 44%",
        "neighbours that are neighbours on the map, of 9",
    }


def test_the_map_tells_tens_of_thousands_of_classes_apart() -> None:
    labels = np.array([0, 40_000, 70_000, -1] * 5)
    vectors = of_vectors(np.random.default_rng(0).standard_normal((20, 4)), seed=0)
    data = map_data(explore(Collection("many", [str(i) for i in range(20)], labels=labels), vectors), None)
    assert np.array_equal(np.frombuffer(base64.b64decode(data["colours"]["class"]["of"]), "<i4"), labels)


def test_pairs_of_two_searches_are_united() -> None:
    def of(*pairs: tuple[int, int]) -> duplicates.Duplicates:
        alike = np.array([1 - 0.01 * a for a, _ in pairs])
        return duplicates.Duplicates(np.array(pairs), alike, np.zeros(len(pairs), bool), True)

    both, by = united(of((1, 2), (3, 4)), of((3, 4), (2, 9)))
    assert both.pairs.tolist() == [[1, 2], [2, 9], [3, 4]]
    assert by.tolist() == [1, 2, 3]


def test_an_image_unlike_all_others_is_an_outlier() -> None:
    vectors, _ = groups((100, 100))
    vectors[17] += 20
    scores = outliers.outlier_scores(vectors)
    assert scores.argmax() == 17
    assert scores[17] > 1.5
    assert np.median(scores) == pytest.approx(1, abs=0.1)


def test_wrong_labels_are_doubted_and_the_right_class_is_suggested() -> None:
    vectors, of = groups((100, 100, 100), apart=1.5)
    labels = of.copy()
    wrong = np.random.default_rng(1).permutation(300)[:15]
    labels[wrong] = (of[wrong] + 1) % 3
    labels[5] = -1
    found = label_doubts.label_doubts(vectors, labels, seed=0)
    assert found is not None
    judged = np.flatnonzero(labels >= 0)
    assert found.judged == len(judged) == 299
    assert np.isnan(found.likely[5])
    assert found.suggested[5] == -1
    flipped = np.isin(judged, wrong)
    assert roc_auc_score(flipped, -found.likely[judged]) > 0.98
    assert np.isin(found.doubtful[:10], wrong).all()
    top = found.doubtful[:10]
    assert (found.suggested[top] == of[top]).all()
    assert np.array_equal(found.likely[found.doubtful], np.sort(found.likely[found.doubtful]))


def test_the_rule_of_confident_learning_is_what_a_loop_says() -> None:
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(4), 200)
    given = rng.integers(0, 4, 200)
    counted = label_doubts.in_doubt_for(probability, given)
    for i in range(200):
        best = int(np.argmax(probability[i]))
        of_best = [probability[j, best] for j in range(200) if given[j] == best]
        assert counted[i] == (best if probability[i, best] >= np.mean(of_best) else given[i])


def test_a_class_that_is_not_reached_raises_no_doubt() -> None:
    probability = np.array([[0.9, 0.1], [0.9, 0.1], [0.75, 0.25], [0.2, 0.8], [0.3, 0.7]])
    given = np.array([0, 0, 1, 1, 1])  # thresholds: 0.9 of class 0, 0.58 of class 1
    assert label_doubts.in_doubt_for(probability, given).tolist() == [0, 0, 1, 1, 1]


def test_a_fold_is_judged_by_the_scale_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    seen: list[np.ndarray] = []
    fit = label_doubts.LogisticRegression.fit

    def kept(self: label_doubts.LogisticRegression, x: np.ndarray, y: np.ndarray) -> label_doubts.LogisticRegression:
        seen.append(x)
        return fit(self, x, y)

    monkeypatch.setattr(label_doubts.LogisticRegression, "fit", kept)
    label_doubts.out_of_sample(vectors, np.arange(40) % 2, seed=0)
    assert len(seen) == label_doubts.FOLDS
    for x in seen:
        np.testing.assert_allclose(x.mean(0), 0, atol=1e-6)
        np.testing.assert_allclose(x.std(0), 1, atol=1e-5)


def test_classes_too_small_are_left_out_and_told() -> None:
    vectors, of = groups((40, 40, 3))
    found = label_doubts.label_doubts(vectors, of, seed=0)
    assert found is not None
    assert found.too_few == (2,)
    assert found.judged == 80
    assert label_doubts.label_doubts(vectors, np.zeros(83, np.int64), seed=0) is None


def test_long_vectors_are_reduced_block_by_block_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(representation, "BLOCK", 7)
    images = ImageSet(pictures(50))

    def vectors(part: ImageSet) -> np.ndarray:
        return np.asarray(part.images).reshape(len(part), -1).astype(np.float32)

    reduced, said = reduced_vectors(vectors, images, seed=0, standardise=False)
    assert reduced.shape == (50, 49)
    assert "49 principal components" in said
    full = vectors(images) - vectors(images).mean(0)
    far = np.linalg.norm(full[:, None] - full[None], axis=2)
    np.testing.assert_allclose(np.linalg.norm(reduced[:, None] - reduced[None], axis=2), far, rtol=1e-2, atol=1)


def test_embeddings_are_standardised_and_constant_units_vanish() -> None:
    vectors = np.random.default_rng(0).normal(5, 3, (30, 4)).astype(np.float32)
    vectors[:, 2] = 7
    made = of_vectors(vectors, seed=0).vectors
    np.testing.assert_allclose(made.std(0), [1, 1, 0, 1], atol=1e-5)
    np.testing.assert_allclose(made.mean(0), 0, atol=1e-5)


def test_components_of_embeddings_are_those_of_a_random_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file that is sorted by class the first rows are one class alone."""
    monkeypatch.setattr(representation, "SAMPLE", 200)
    rows = np.random.default_rng(0).normal(size=(1000, 2, 100)).astype(np.float32)
    rows[:, :, 60:] = rows[:500, 1] = rows[500:, 0] = 0
    made = of_vectors(rows.reshape(1000, 200), seed=0)
    assert made.vectors.var(0).sum() == pytest.approx(120, rel=1e-3)  # all of the variance has room in 128 components


def test_the_largest_seed_is_taken() -> None:
    vectors = np.random.default_rng(0).standard_normal((20, 130)).astype(np.float32)
    collection = Collection("few", [str(i) for i in range(20)], labels=np.arange(20) % 2, classes=("a", "b"))
    explored = explore(collection, of_vectors(vectors, seed=2**63 - 1), seed=2**63 - 1)
    assert len(explored.main.places) == 20


@pytest.mark.parametrize("units", [1, 8])
def test_a_collapsed_encoder_has_a_map_all_the_same(units: int) -> None:
    flat = np.zeros((40, units), np.float32)
    np.testing.assert_array_equal(map.layout(flat, nearest(flat, 39), seed=0), np.zeros((40, 2)))


def _as_jpeg(picture: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(picture.transpose(1, 2, 0)).save(stream, "jpeg", quality=50)
    return np.asarray(Image.open(stream)).transpose(2, 0, 1)
