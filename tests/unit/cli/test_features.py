from __future__ import annotations

import pytest


def test_features_show_every_pack_and_column(run):
    code, out, err = run("features")

    assert (code, err) == (0, "")
    heads = [line for line in out.splitlines() if " columns, rangebar_enrich.features." in line]
    assert [line.split()[0] for line in heads] == ["alpha158", "microstructure", "ta"]
    assert "ta_true_range" in out
    assert "max(high, close[-1]) - min(low, close[-1])" in out


def test_features_of_one_pack(run):
    code, out, _ = run("features", "microstructure")

    assert code == 0
    assert out.startswith(
        "microstructure 1.0.0: 56 columns, rangebar_enrich.features.microstructure:Core"
    )
    assert "ta_" not in out.replace("beta_", "").replace("delta_", "")


def test_features_json_is_one_document(run_json):
    code, made = run_json("features", "ta", "alpha158")

    assert code == 0
    assert [pack["name"] for pack in made["packs"]] == ["ta", "alpha158"]
    assert {"name": "ta_sma_20", "min_bars": 19, "formula": "mean(x, w)"} in made["packs"][0][
        "columns"
    ]
    assert len(made["packs"][1]["columns"]) == 158


def test_features_of_no_such_pack_are_a_wrong_call(run):
    code, _, err = run("features", "nothing")

    assert code == 2
    assert "no such pack: nothing; there are alpha158, microstructure, ta" in " ".join(err.split())


@pytest.mark.parametrize("pack", ["ta", "microstructure", "alpha158"])
def test_every_formula_says_something(run_json, pack):
    _, made = run_json("features", pack)

    assert all(column["formula"] for column in made["packs"][0]["columns"])
