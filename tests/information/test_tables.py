"""Many columns at once: against single estimates, scikit-learn and known truth."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from gaussians import gaussians
from scipy import sparse, stats
from sklearn.feature_selection import SelectFdr, SelectKBest, mutual_info_regression

from deepinfomax import UserError
from deepinfomax.information import ksg
from deepinfomax.information.convergence import mi_convergence
from deepinfomax.information.estimation import estimate_mi
from deepinfomax.information.tables import ksg_of_columns, mi_matrix, mi_scores, mi_with, read_table


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a, b, noise = rng.standard_normal((3, 600))
    return pd.DataFrame(
        {
            "a": a,
            "b": b,
            "sum": a + 0.5 * noise,
            "kind": np.where(a + 0.3 * rng.standard_normal(600) > 0, "high", "low"),
            "count": rng.integers(0, 4, 600),
        }
    )


@pytest.mark.parametrize("k", [1, 3, 10])
def test_the_fast_count_is_that_of_ksg(k):
    for nats, seed in ((0.0, 0), (1.0, 1), (4.0, 2)):
        x, y = gaussians(nats, 1, 400, seed=seed)
        assert ksg_of_columns(x[:, 0], y[:, 0], k) == pytest.approx(ksg.ksg(x, y, k), abs=1e-12)


def test_columns_are_ranked_by_what_they_tell(table):
    ranking = mi_with(table, "sum", shuffles=99)
    by_name = {row.column: row for row in ranking.rows}
    assert [row.column for row in ranking.rows][:2] == ["a", "kind"]
    assert by_name["a"].estimate.nats == pytest.approx(0.5 * math.log(5), abs=0.1)
    alone = estimate_mi(table["a"], table["sum"], "ksg", transform="rank")
    assert by_name["a"].estimate.nats == pytest.approx(alone.nats, abs=1e-3)  # noise between equal ranks
    found = [row.estimate.p_value for row in ranking.rows]
    assert [row.adjusted_p for row in ranking.rows] == pytest.approx(list(stats.false_discovery_control(found)))
    assert by_name["a"].adjusted_p < 0.05 < by_name["b"].adjusted_p
    assert "no dependence found" in ranking.text()
    assert ranking.too_few_shuffles() is None  # 4 columns take 80
    assert "whole numbers of count" in by_name["count"].estimate.notes[0]
    frame = ranking.to_frame()
    assert list(frame["column"]) == [row.column for row in ranking.rows]
    assert set(frame.columns) >= {"nats", "low", "high", "p_value", "adjusted_p"}
    assert frame["bits"].to_numpy() == pytest.approx(frame["nats"].to_numpy() / math.log(2))
    share = frame.set_index("column")["share_of_entropy"]
    assert 0.4 < share["kind"] < 1
    assert np.isnan(share["a"])
    json.dumps(ranking.to_dict(), allow_nan=False)


def test_copies_of_rows_of_a_table_are_told(table):
    many = pd.concat([table] * 3, ignore_index=True).sample(frac=1, random_state=0)
    for row in mi_with(many, "sum", shuffles=0).rows:
        assert row.estimate.warning.startswith("1,200 of 1,800 rows repeat another exactly")
    assert all(row.estimate.warning is None for row in mi_with(table, "sum", shuffles=0).rows)


def test_groups_of_a_table_count_as_one_row_each():
    """100 subjects of 10 near-identical rows: numbers, labels and a vector that have nothing to do with each other."""
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(100), 10)

    def of_subjects(*shape: int) -> np.ndarray:
        return rng.standard_normal((100, *shape))[subject] + 0.01 * rng.standard_normal((1000, *shape))

    table = {"a": of_subjects(), "b": of_subjects(), "kind": of_subjects() > 0, "vector": of_subjects(8)}
    settings = {"steps": 300, "batch_size": 32}
    by_rows = mi_matrix(table, **settings).estimates
    assert by_rows["a", "b"].nats > 1
    assert by_rows["a", "vector"].nats > 0.5
    matrix = mi_matrix(table | {"subject": subject}, groups="subject", shuffles=19, **settings)
    assert matrix.columns == ("a", "b", "kind", "vector")
    for estimate in matrix.estimates.values():
        assert estimate.groups == 100
        assert estimate.nats < 0.3
    assert min(matrix.adjusted_p.values()) > 0.05
    ranking = mi_with(table | {"sum": table["a"] + 0.1 * table["b"]}, "sum", groups=subject, shuffles=19, **settings)
    assert ranking.rows[0].column == "a"
    assert ranking.rows[0].estimate.p_value == 0.05
    assert ranking.rows[0].estimate.warning is None or "resembles" not in ranking.rows[0].estimate.warning
    assert mi_matrix({"a": table["a"], "b": table["b"]}, block=10).estimates["a", "b"].nats < 0.3
    with pytest.raises(UserError, match="no column 'who'"):
        mi_matrix(table, groups="who")
    with pytest.raises(UserError, match="no column but subject"):
        mi_matrix({"subject": subject}, groups="subject")


def test_a_target_beside_the_table(table):
    by_name = mi_with(table.drop(columns="sum"), table["sum"].to_numpy(), shuffles=0)
    assert by_name.rows[0].column == "a"
    assert by_name.rows[0].adjusted_p is None
    assert by_name.target == "target"


def test_the_matrix_is_symmetric_and_knows_all_kinds(table):
    matrix = mi_matrix(table, shuffles=19)
    assert len(matrix.estimates) == len(matrix.adjusted_p) == 10
    assert matrix.nats == pytest.approx(matrix.nats.T, nan_ok=True)
    assert np.isnan(np.diag(matrix.nats)).all()
    kinds = {pair: estimate.estimator for pair, estimate in matrix.estimates.items()}
    assert kinds["kind", "count"] == "counting"
    assert matrix.to_frame().loc["a", "sum"] == matrix.estimates["a", "sum"].nats
    assert "a · sum" in matrix.text().splitlines()[1]
    assert "19 shuffles cannot show a dependence of one pair alone among 10 at 5 %" in matrix.text().splitlines()[-1]
    assert "takes 200 or more" in matrix.text()
    assert "Note" not in mi_matrix(table[["a", "b"]]).text()  # no p-values, nothing to say of them
    assert matrix.draw().axes
    json.dumps(matrix.to_dict(), allow_nan=False)


def test_vectors_share_their_embeddings_and_stay_below_the_truth():
    x, y = gaussians(1.5, 8, 1500)
    rng = np.random.default_rng(1)
    table = {"x": x, "y": y, "other": rng.standard_normal((1500, 8)), "first": x[:, 0]}
    matrix = mi_matrix(table, steps=400, hidden=(64, 64), lr=2e-3, shuffles=99)
    found = matrix.estimates["x", "y"]
    assert found.critic == "shared"
    assert found.lower_bound
    assert 0.8 < found.nats < 1.5 + 2 * found.standard_error
    assert found.p_value < 0.05
    apart = matrix.estimates["x", "other"]
    assert apart.nats < 2 * apart.standard_error
    assert matrix.estimates["x", "first"].nats > 1.5


def test_scores_for_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 6))
    x[:, 5] = 1.0
    y = x[:, 2] + 0.5 * x[:, 4] ** 2 + 0.1 * rng.standard_normal(300)
    chosen = SelectKBest(mi_scores, k=2).fit(x, y)
    assert chosen.get_support(indices=True).tolist() == [2, 4]
    assert chosen.scores_[5] == 0
    theirs = mutual_info_regression(x, y, random_state=0)
    assert np.corrcoef(chosen.scores_, theirs)[0, 1] > 0.95
    fdr = SelectFdr(lambda a, b: mi_scores(a, b, shuffles=199)).fit(x, y)
    assert fdr.get_support(indices=True).tolist() == [2, 4]
    assert SelectKBest(mi_scores, k=1).fit(x, (x[:, 0] > 0).astype(int)).get_support(indices=True).tolist() == [0]


def test_frames_that_are_not_pandas():
    class Series:
        def __init__(self, values):
            self.values = values

        def to_numpy(self):
            return self.values

    class Frame:  # what polars and others have in common
        columns = ("a", "b")

        def __getitem__(self, name):
            return Series(np.arange(3.0) if name == "a" else np.array([[1.0, 2.0]] * 3))

    read = read_table(Frame())
    assert read["a"].tolist() == [0, 1, 2]
    assert read["b"].shape == (3, 2)
    lists = pd.DataFrame({"v": [[1.0, 2.0], [3.0, 4.0]]})
    assert read_table(lists)["v"].shape == (2, 2)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t: mi_with(t, "c"), "no column 'c'; it has a, b"),
        (lambda t: mi_matrix({"a": t["a"]}), "at least two columns"),
        (lambda t: mi_matrix({"a": t["a"], "b": t["b"][:-1]}), "column b has 99 rows"),
        (lambda t: mi_matrix({k: v[:40] for k, v in t.items()}), "40 rows are too few"),
        (lambda t: mi_matrix(t, neighbours=10), "10 neighbours"),
        (lambda t: mi_matrix(np.zeros(5)), "a table of shape"),
        (lambda t: mi_matrix(t | {"c": np.full(100, np.nan)}), "c has 100 missing"),
        (lambda t: mi_matrix(pd.DataFrame({"v": [[1.0], [1.0, 2.0]]})), "lists of different lengths"),
        (lambda t: mi_convergence(t["a"], t["b"], block=2), "takes no block"),
    ],
)
def test_mistakes(call, says):
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match=says):
        call({"a": rng.standard_normal(100), "b": rng.standard_normal(100)})


def test_convergence_leaves_out_parts_with_too_few_rows_of_a_label():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 100, 2000)
    found = mi_convergence(labels, labels + rng.standard_normal(2000), "ksg")
    assert len(found.by_pairs) < 4  # in an eighth there are two or three rows of each label
    assert found.by_pairs[-1][0] == 2000
    with pytest.raises(UserError, match="different labels"):
        mi_convergence(rng.integers(0, 1000, 2000), rng.standard_normal(2000), "ksg")


def test_widths_are_those_of_the_critic_also_where_neighbours_win():
    settings = {"steps": 60}
    found = mi_convergence(*gaussians(0.3, 1, 1600), "auto", **settings)
    assert found.by_pairs[-1][1].estimator == "ksg"
    assert all(estimate.critic is not None for _, estimate in found.by_width)
    assert [width for width, _ in found.by_width] == [16, 64, 256]
    assert len({estimate.nats for _, estimate in found.by_width}) > 1


def test_convergence_tells_what_still_rises():
    settings = {"steps": 200, "batch_size": 64, "lr": 2e-3}
    easy = mi_convergence(*gaussians(0.5, 1, 2400), **settings)
    assert [n for n, _ in easy.by_pairs] == [300, 600, 1200, 2400]
    assert [n for n, _ in easy.by_width] == [16, 64, 256]
    assert easy.holds_still
    hard = mi_convergence(*gaussians(3.0, 10, 1600), **settings)
    assert not hard.holds_still
    assert "still rises" in hard.sentence()
    assert hard.draw().axes
    json.dumps(hard.to_dict(), allow_nan=False)
    neighbours = mi_convergence(*gaussians(1.0, 1, 400), "ksg")
    assert [n for n, _ in neighbours.by_pairs] == [100, 200, 400]
    assert neighbours.by_width == ()


def test_whole_numbers_taken_as_labels_are_told_with_the_table(table):
    note = "the 4 different whole numbers of count are taken as labels"
    for result in (mi_with(table, "sum", shuffles=0), mi_matrix(table)):
        assert result.text().count(note) == 1
        assert result.to_dict()["notes"][0].startswith(note)


def test_columns_of_one_name_are_refused(table):
    for twice in (table.rename(columns={"b": "a"}), {1: table["a"], "1": table["b"]}):
        with pytest.raises(UserError, match=r"two columns called '[a1]': give each a name of its own"):
            mi_matrix(twice)


def test_rows_in_another_order_are_refused(table):
    other = table["a"].sample(frac=1, random_state=0)
    for wrong in (
        lambda: mi_with(table, other),
        lambda: mi_with(table, "sum", groups=other),
        lambda: mi_matrix(table, groups=other),
        lambda: mi_matrix({"number": np.arange(600.0), "sum": table["sum"], "a": other}),
        lambda: mi_scores(table[["a", "b"]], other),
        lambda: estimate_mi(table["a"].to_numpy(), table["sum"], "ksg", groups=other),
    ):
        with pytest.raises(UserError, match=r"different pandas indexes, .* into the order of"):
            wrong()


def test_a_column_called_target_stays(table):
    named = table.rename(columns={"a": "target"})[["target", "b"]]
    ranking = mi_with(named, table["sum"].to_numpy(), shuffles=0)
    assert (ranking.target, [row.column for row in ranking.rows]) == ("target 2", ["target", "b"])
    itself = mi_with(named, named["target"], shuffles=0)
    assert (itself.target, [row.column for row in itself.rows]) == ("target", ["b"])


def test_settings_of_a_table_are_checked(table):
    vector = {"a": table["a"], "v": np.random.default_rng(0).standard_normal((600, 8))}
    for settings, said in (
        ({"shuffles": -5}, "shuffles must be 0 or more"),
        ({"shuffles": 2.5}, "shuffles must be a whole number"),
        ({"neighbours": 2.5}, "neighbours must be a whole number"),
        ({"estimator": "infonce"}, "a table takes no estimator: the critics of its vectors take steps, "),
        ({"steps": 0}, r"steps \(0\)"),
        ({"hidden": 64}, "hidden must be the widths"),
    ):
        with pytest.raises(UserError, match=said):
            mi_matrix(vector, **settings)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.where(np.eye(100, 2) > 0, np.nan, 1.0), "missing or infinite value in row 0, column 0"),
        (np.zeros(100), r"x has shape \(100,\)"),
        (np.full((100, 2), "ash"), "no array of numbers"),
        (sparse.csr_array(np.eye(100)), "toarray"),
    ],
)
def test_scores_are_of_finite_numbers(x, said):
    with pytest.raises(UserError, match=said):
        mi_scores(x, np.arange(100.0))


def test_too_few_pairs_to_take_a_part_of():
    x, y = gaussians(1.0, 1, 150)
    assert mi_convergence(x, y, "ksg").sentence() == "Fewer than 200 pairs are too few to take a part of them."
