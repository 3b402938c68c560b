"""The memory and the operations of a training against figures worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lakon.core.model_shape import MatrixKind, ModelShape, assume_shape, shape_of_row
from lakon.stages.train.layouts import find_fitting, find_shorter
from lakon.stages.train.memory import GB, TrainingSetup, estimate_memory
from lakon.stages.train.operations import TrainedLengths, count_operations, estimate_hours

# Llama 3.1 8B: 32 blocks of width 4096, 32 heads and 8 key heads of 128, MLP of 14336, vocabulary 128256, not tied.
HIDDEN, LAYERS, WIDE, KEYS, VOCABULARY = 4096, 32, 14336, 1024, 128_256
LLAMA_8B = ModelShape(
    model_class="LlamaForCausalLM",
    layers=LAYERS,
    hidden=HIDDEN,
    intermediate=WIDE,
    heads=32,
    kv_heads=8,
    head_dim=128,
    vocabulary=VOCABULARY,
    attention_layers=LAYERS,
    mlp_layers=LAYERS,
    norms=2 * LAYERS,
    gated=True,
    embedding=VOCABULARY * HIDDEN,
    head=VOCABULARY * HIDDEN,
    matrices=(
        MatrixKind("q_proj", HIDDEN, HIDDEN, LAYERS),
        MatrixKind("k_proj", KEYS, HIDDEN, LAYERS),
        MatrixKind("v_proj", KEYS, HIDDEN, LAYERS),
        MatrixKind("o_proj", HIDDEN, HIDDEN, LAYERS),
        MatrixKind("gate_proj", WIDE, HIDDEN, LAYERS),
        MatrixKind("up_proj", WIDE, HIDDEN, LAYERS),
        MatrixKind("down_proj", HIDDEN, WIDE, LAYERS),
    ),
    rest=(2 * LAYERS + 1) * HIDDEN,
    largest_block=218_112_000,
)
N = 8_030_261_248
TOKENS = 8192
BF16 = TrainingSetup(precision="bf16", pass_tokens=TOKENS)
MIXED = replace(BF16, precision="mixed")


def test_the_shape_has_as_many_parameters_as_the_model():
    assert LLAMA_8B.parameters == N
    assert LLAMA_8B.multiplied == N - VOCABULARY * HIDDEN, "the embedding is looked up"
    assert replace(LLAMA_8B, head=0).multiplied == N - VOCABULARY * HIDDEN, "a tied head is multiplied all the same"
    assert shape_of_row(LLAMA_8B.as_row()) == LLAMA_8B


@pytest.mark.parametrize(
    ("setup", "each"),
    [(MIXED, (4, 4, 8)), (replace(BF16, precision="fp32"), (4, 4, 8)), (BF16, (2, 2, 4))],
)
def test_full_training_takes_sixteen_or_eight_bytes_a_parameter_shared_by_the_gpus(setup: TrainingSetup, each):
    for gpus in (1, 8, 64):
        estimate = estimate_memory(LLAMA_8B, replace(setup, gpus=gpus))
        found = (estimate.weights, estimate.gradients, estimate.optimizer)
        assert found == tuple(pytest.approx(n * N / gpus, abs=1) for n in each)


def test_muon_keeps_one_moment_of_the_matrices():
    matrices = 218_103_808 * LAYERS
    assert LLAMA_8B.in_matrices == matrices
    found = estimate_memory(LLAMA_8B, replace(BF16, optimizer="muon")).optimizer
    assert found == 2 * matrices + 4 * (N - matrices)


def test_lora_freezes_the_weights_and_qlora_quantises_the_matrices():
    # r (rows + columns) of each matrix of a block, by hand.
    a_block = 2 * (4096 + 4096) + 2 * (1024 + 4096) + 3 * (14336 + 4096)
    trained = 16 * LAYERS * a_block
    assert trained == 41_943_040
    lora = estimate_memory(LLAMA_8B, replace(BF16, adapter="lora", rank=16))
    assert (lora.weights, lora.gradients, lora.optimizer) == (2 * N + 4 * trained, 4 * trained, 8 * trained)
    qlora = estimate_memory(LLAMA_8B, replace(BF16, adapter="qlora", rank=16))
    quantised = 218_103_808 * LAYERS
    assert qlora.weights == pytest.approx(quantised * 4.127 / 8 + 2 * (N - quantised) + 4 * trained, rel=1e-6)
    some = replace(BF16, adapter="lora", rank=16, targets=("q_proj", "v_proj"))
    assert estimate_memory(LLAMA_8B, some).gradients == 4 * 16 * LAYERS * (8192 + 5120)


def test_kept_activations_are_those_of_every_block_and_checkpointed_ones_the_inputs():
    # In bfloat16, a block and token: two norms of 4 + 2 + 2 bytes a channel and a spread; q, k, v and the output of
    # attention with the logarithms of sums; and four activations of the gated MLP.
    norms, attention, mlp = 2 * (8 * 4096 + 4), 2 * (2 * 4096 + 2 * 1024) + 4 * 32, 2 * 4 * 14336
    final = 8 * 4096 + 4
    kept = estimate_memory(LLAMA_8B, replace(BF16, activation_checkpointing=False))
    assert kept.activations == TOKENS * (32 * (norms + attention + mlp) + final)
    checkpointed = estimate_memory(LLAMA_8B, BF16)
    assert checkpointed.activations == TOKENS * (32 * 2 * 4096 + final)
    assert checkpointed.block == kept.block + TOKENS * (norms + attention + mlp)


def test_nothing_grows_with_the_square_of_the_length():
    one, two = (estimate_memory(LLAMA_8B, replace(BF16, pass_tokens=n)) for n in (16_384, 32_768))
    assert two.activations == 2 * one.activations
    assert two.block == 2 * one.block


def test_the_loss_holds_a_tile_and_the_gradients_of_the_head_and_the_last_states():
    tile = 2 * 4096 * 32_768
    expected = tile + TOKENS * 4096 * (4 + 2) + VOCABULARY * 4096 * (4 + 2)
    assert estimate_memory(LLAMA_8B, BF16).logits == expected
    assert estimate_memory(LLAMA_8B, replace(BF16, adapter="lora", rank=8)).logits == tile + TOKENS * 4096 * 6


def test_a_cpu_needs_no_reserve_and_has_no_kernel_for_the_loss():
    on_gpu, on_cpu = (estimate_memory(LLAMA_8B, replace(BF16, on_gpu=on_gpu)) for on_gpu in (True, False))
    assert (on_gpu.reserve > 1.5 * GB, on_cpu.reserve) == (True, 0)
    assert on_cpu.logits - on_gpu.logits == 7 * 4 * 4096 * 32_768


def test_fsdp_gathers_the_head_the_embedding_and_two_blocks():
    units = 2 * (2 * VOCABULARY * 4096 + 2 * 218_112_000)
    assert estimate_memory(LLAMA_8B, replace(BF16, gpus=8)).gathered == units + 2 * 218_112_000
    assert estimate_memory(LLAMA_8B, replace(MIXED, gpus=8)).gathered == units + (2 + 4) * 218_112_000
    assert estimate_memory(LLAMA_8B, BF16).gathered == 0


def test_the_peak_is_a_pass_or_the_step_whichever_takes_more():
    estimate = estimate_memory(LLAMA_8B, MIXED)
    states = estimate.weights + estimate.gradients + estimate.optimizer
    a_pass = estimate.gathered + estimate.activations + max(estimate.block, estimate.logits)
    assert estimate.total == states + max(a_pass, estimate.step) + estimate.reserve
    short = estimate_memory(LLAMA_8B, replace(MIXED, precision="fp32", pass_tokens=16))
    assert short.passing == short.step == 4 * N, "AdamW's step holds a root of every second moment"


# -- operations ------------------------------------------------------------------------------------------------


def test_six_operations_a_parameter_and_token_eight_with_checkpointing_four_with_lora():
    short = TrainedLengths(tokens=1e9, squares=0)
    multiplied = LLAMA_8B.multiplied
    kept = replace(BF16, activation_checkpointing=False)
    assert count_operations(LLAMA_8B, kept, short) == 6e9 * multiplied
    assert count_operations(LLAMA_8B, BF16, short) == 8e9 * multiplied
    lora = replace(kept, adapter="lora", rank=8)
    assert count_operations(LLAMA_8B, lora, short) == 4e9 * multiplied
    assert count_operations(LLAMA_8B, replace(lora, activation_checkpointing=True), short) == 6e9 * multiplied


def test_attention_grows_with_the_squares_of_the_lengths():
    kept = replace(BF16, activation_checkpointing=False)
    long = TrainedLengths(tokens=32_768, squares=32_768**2)
    attention = count_operations(LLAMA_8B, kept, long) - 6 * LLAMA_8B.multiplied * 32_768
    assert attention == pytest.approx(6 * LAYERS * 4096 * 32_768 * 32_768)
    apart = TrainedLengths(tokens=32_768, squares=2 * 16_384**2)
    assert count_operations(LLAMA_8B, kept, apart) - 6 * LLAMA_8B.multiplied * 32_768 == pytest.approx(attention / 2)


def test_a_windowed_layer_looks_back_a_window():
    kept = replace(BF16, activation_checkpointing=False)
    long = TrainedLengths(tokens=32_768, squares=32_768**2)
    windowed = replace(LLAMA_8B, window=128, window_layers=LAYERS)
    attention = count_operations(windowed, kept, long) - 6 * LLAMA_8B.multiplied * 32_768
    assert attention == pytest.approx(12 * LAYERS * 4096 * 32_768 * 128)


def test_hours_are_operations_over_the_rate_that_is_reached():
    lengths = TrainedLengths(tokens=1e9, squares=0)
    hours = estimate_hours(LLAMA_8B, BF16, lengths, peak_tflops=989, utilisation=0.4)
    assert hours == pytest.approx(8e9 * LLAMA_8B.multiplied / (989e12 * 0.4) / 3600)


# -- a bare count, and what would fit --------------------------------------------------------------------------


@pytest.mark.parametrize("count", [5e7, 1.2e9, 12.3e9, 70e9])
def test_a_bare_count_keeps_its_states_exact(count: float):
    shape = assume_shape(count)
    assert shape.is_assumed
    assert shape.parameters == round(count)
    assert estimate_memory(shape, MIXED).optimizer == 8 * round(count)


def test_a_bare_count_gives_activations_near_those_of_the_real_model():
    assumed, real = (estimate_memory(shape, BF16) for shape in (assume_shape(N), LLAMA_8B))
    assert assumed.activations + assumed.block == pytest.approx(real.activations + real.block, rel=0.25)


def test_what_would_fit_is_found_by_one_change_at_a_time():
    assert estimate_memory(LLAMA_8B, BF16).total > 60 * GB
    fitting = [(setup.adapter, setup.gpus) for setup, _ in find_fitting(LLAMA_8B, BF16, 60 * GB)]
    assert fitting == [(None, 2), ("lora", 1), ("qlora", 1)]
    for setup, estimate in find_fitting(LLAMA_8B, BF16, 60 * GB):
        assert estimate == estimate_memory(LLAMA_8B, setup)
        assert estimate.total <= 60 * GB
    long = replace(BF16, pass_tokens=131_072)
    assert find_fitting(LLAMA_8B, long, 24 * GB) == []
    shorter = find_shorter(LLAMA_8B, long, 24 * GB)
    assert [(setup.adapter, setup.gpus) for setup, _ in shorter] == [(None, 8), (None, 64), ("lora", 1), ("qlora", 1)]
    assert all(setup.pass_tokens < 131_072 and estimate.total <= 24 * GB for setup, estimate in shorter)
