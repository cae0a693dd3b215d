"""The profile of a real run: every section, and what the figures must agree on."""

from __future__ import annotations

import json

import pytest

from tests.profiling.conftest import CLIPS, QUESTIONS
from xsd_edge.profiling.document import Document, Measured

ANSWERS = CLIPS * len(QUESTIONS)
STAGES = (
    "event_decode", "representation", "event_encoder", "alignment", "vision_tower",
    "prefill_frame", "draft_step", "verify", "accept", "detokenize",
)  # fmt: skip


def test_it_is_json(document: Document) -> None:
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["kind"] == "xsd-edge profile"


@pytest.mark.parametrize("stage", STAGES)
def test_stage(document: Document, stage: str) -> None:
    row = document["stages"][stage]
    assert row["n"] >= 1
    assert 0 <= row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] <= row["max_ms"]
    assert row["total_ms"] == pytest.approx(row["n"] * row["mean_ms"], rel=0.01, abs=0.01)
    assert 0 <= row["share"] < 1


def test_how_often_each_stage_ran(document: Document) -> None:
    runs = {stage: row["n"] for stage, row in document["stages"].items()}
    assert runs["vision_tower"] == runs["preprocess"] == runs["frame_read"] == 8 * CLIPS
    assert runs["event_encoder"] == runs["representation"] == runs["alignment"] == CLIPS
    assert runs["question"] == runs["detokenize"] == ANSWERS
    assert runs["verify"] == document["acceptance"]["rounds"]
    assert runs["accept"] == runs["verify"] + ANSWERS
    assert runs["draft_step"] == document["acceptance"]["drafted"]
    assert runs["predictor"] == 0  # a fixed draft length asks nobody
    assert document["stages"]["predictor"]["mean_ms"] is None


def test_shares_add_up(document: Document) -> None:
    assert sum(row["share"] for row in document["stages"].values()) == pytest.approx(1, abs=1e-4)
    assert 0 <= document["stages"]["other"]["share"] < 0.9


def test_costs(document: Document) -> None:
    costs = document["costs"]
    assert costs["step_ms"] > 0
    assert [point["rows"] for point in costs["v"]] == list(range(1, 10))
    assert costs["v"][0]["value"] == 1
    assert all(p["low"] <= p["value"] <= p["high"] for p in [*costs["v"], costs["c"]])
    assert costs["c"]["value"] == pytest.approx(costs["draft_ms"] / costs["step_ms"], rel=0.01)
    assert [each["gamma"] for each in document["break_even"]["by_gamma"]] == list(range(1, 9))


def test_acceptance_agrees_with_the_answers(document: Document) -> None:
    accepted, answers = document["acceptance"], document["answers"]
    assert len(answers) == ANSWERS
    assert accepted["drafted"] == sum(a["drafted"] for a in answers)
    assert accepted["accepted"] == sum(a["accepted"] for a in answers)
    assert sum(accepted["gamma_histogram"].values()) == accepted["rounds"]
    assert len(document["rounds"]) == accepted["rounds"]
    decoded = sum(a["decoded"] for a in answers)
    assert accepted["tokens_per_round"] == pytest.approx(decoded / accepted["rounds"], abs=1e-3)
    assert {a["question"] for a in answers} == set(QUESTIONS)


def test_speedup_is_of_the_paired_sums(document: Document) -> None:
    answers = document["answers"]

    def total(key: str) -> float:
        return float(sum(answer[key] for answer in answers))

    whole = document["speedup"]["answer"]["measured"]
    expected = total("plain_answer_ms") / total("answer_ms")
    assert whole["value"] == pytest.approx(expected, rel=1e-3)
    decode = document["speedup"]["decode"]["measured"]
    per_token = total("decode_ms") / total("decoded")
    plain = total("plain_decode_ms") / total("plain_decoded")
    assert decode["value"] == pytest.approx(plain / per_token, rel=1e-3)
    for found in (whole, decode):
        assert found["low"] <= found["value"] <= found["high"]
    assert document["speedup"]["decode"]["predicted"] > 0
    assert document["speedup"]["answer"]["predicted"] > 0


def test_verdict_is_in_words(document: Document) -> None:
    verdict = document["verdict"]
    start = {True: "speculation helps here: ", False: "turn it off: ", None: "cannot tell "}
    assert verdict["text"].startswith(start[verdict["helps"]])
    assert "\u00d7 [" in verdict["text"]


def test_machine_and_sensors_are_the_boards(document: Document) -> None:
    machine, power = document["machine"], document["power"]
    assert machine["model"] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert machine["power_mode"] == "15W"
    assert machine["clocks_pinned"] is True
    assert machine["jetpack"] == "6.2.1"
    assert power["mean_w"] == pytest.approx(7.5)
    assert power["rails_w"]["VDD_SOC"]["mean"] == pytest.approx(1.5)
    assert document["temperatures_c"]["tj-thermal"]["max"] == 52.0
    assert document["clocks_mhz"]["gpu"]["mean"] == 918.0
    assert document["gpu_load"] == pytest.approx(0.995)


def test_energy_is_power_times_time(document: Document, seen: Measured) -> None:
    for arm, takes in zip(("drafted", "plain"), zip(*seen.pairs, strict=True), strict=True):
        energy = document["power"][arm]
        joules = 7.5 * sum(take.seconds for take in takes)
        assert energy["energy_j"] == pytest.approx(joules, rel=1e-3)
        assert energy["energy_per_answer_j"] == pytest.approx(joules / ANSWERS, rel=1e-3)
        tokens = sum(len(a.decoding.tokens) for take in takes for a in take.answers)
        assert energy["energy_per_token_j"] == pytest.approx(joules / tokens, rel=1e-3)


def test_memory(document: Document) -> None:
    memory = document["memory"]
    assert memory["peak_rss_bytes"] >= memory["rss_bytes"] > 10e6
    assert set(memory["engines"]) == set(document["bundle"]["parts"])
    assert memory["kv_bytes"] == memory["engines"]["target"]["kv_bytes"] > 0
    assert all(held["file_bytes"] > 0 for held in memory["engines"].values())


def test_the_turns_alternate(seen: Measured) -> None:
    first = [pair.drafted.began < pair.plain.began for pair in seen.pairs]
    assert first == [True, False, True]
