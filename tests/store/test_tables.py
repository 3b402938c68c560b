"""Records to Parquet and back: schemas from annotations, same bytes for same rows, hostile text."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakon.core.errors import StoreError
from lakon.core.records import LIGHT_RECORDS, RECORDS, Exclusion, Problem, Trace, TraceCounts
from lakon.store import tables
from lakon.store.tables import read_shard, schema_of, write_table

PROBLEMS = [Problem.of("1+1?", "2", tags=("steps=1", "level=3")), Problem.of("ünïcode \u202e \x00", "½")]


@pytest.mark.parametrize("record", RECORDS.values(), ids=lambda record: record.__name__)
def test_every_record_has_an_arrow_schema_with_its_fields(record: type):
    assert schema_of(record).names == list(record.__dataclass_fields__)


def test_optional_fields_are_nullable_and_tuples_are_lists():
    schema = schema_of(Problem)
    assert schema.field("tags").type == pa.list_(pa.large_string())
    assert schema.field("duplicate_group").nullable
    assert not schema.field("prompt").nullable


@pytest.mark.parametrize("record", LIGHT_RECORDS, ids=lambda record: record.__name__)
def test_a_light_record_has_some_columns_of_its_table_as_they_are(record: type):
    full, light = schema_of(LIGHT_RECORDS[record]), schema_of(record)
    assert len(light) < len(full)
    assert list(light) == [full.field(name) for name in light.names]


def test_a_light_record_has_no_texts_and_reads_none(tmp_path: Path):
    rows = [
        Trace(trace_id=f"{i}", problem_id="p", author="a", sample_index=i, reasoning="long", n_reasoning=3, n_answer=i)
        for i in range(2)
    ]
    (shard,) = write_table(tmp_path, "traces", rows)
    light = list(read_shard(shard, TraceCounts))
    assert [(row.trace_id, row.sample_index, row.n_tokens) for row in light] == [("0", 0, 3), ("1", 1, 4)]
    assert not any(hasattr(light[0], name) for name in ("reasoning", "answer"))


def test_a_light_record_is_not_read_from_a_shard_of_other_columns(tmp_path: Path):
    (shard,) = write_table(tmp_path, "verdicts", [])
    with pytest.raises(StoreError, match="run the study again"):
        list(read_shard(shard, TraceCounts))


def test_rows_come_back_as_they_were_over_several_shards(tmp_path: Path):
    shards = write_table(tmp_path, "problems", PROBLEMS * 3, rows_per_shard=4)
    assert [shard.name for shard in shards] == ["problems-00000.parquet", "problems-00001.parquet"]
    assert [row for shard in shards for row in read_shard(shard, Problem)] == PROBLEMS * 3


def test_long_texts_are_row_groups_of_one_shard_and_come_back_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "CHARS_PER_GROUP", 1_000)
    monkeypatch.setattr(tables, "CHARS_PER_SHARD", 2_500)
    traces = [
        Trace(trace_id=f"{i}", problem_id="p", author="a", sample_index=i, answer=str(i) * 400) for i in range(10)
    ]
    shards = write_table(tmp_path, "traces", traces)
    groups = [pq.ParquetFile(shard).metadata.num_row_groups for shard in shards]
    assert groups == [3, 1], "a group ends at 1,000 characters, a shard at 2,500"
    assert [row for shard in shards for row in read_shard(shard, Trace)] == traces


def test_labels_are_one_object_in_the_rows_of_a_batch_and_long_texts_have_no_dictionary(tmp_path: Path):
    long, names = "long " * 40, ("problem_id", "author", "reasoning")
    rows = [Trace(trace_id=f"{i}", problem_id="p" * 32, author="a", sample_index=i, reasoning=long) for i in range(2)]
    (shard,) = write_table(tmp_path, "traces", rows)
    first, second = read_shard(shard, Trace)
    assert first.problem_id is second.problem_id
    assert (first.author, first.reasoning) == ("a", long)
    group = pq.ParquetFile(shard).metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert [columns[name].has_dictionary_page for name in names] == [True, True, False]


def test_a_shard_that_ends_with_the_table_is_the_last_one(tmp_path: Path):
    shards = write_table(tmp_path, "problems", PROBLEMS * 2, rows_per_shard=4)
    assert [shard.name for shard in shards] == ["problems-00000.parquet"]


def test_an_empty_table_is_a_shard_without_rows(tmp_path: Path):
    (shard,) = write_table(tmp_path, "exclusions", [])
    assert list(read_shard(shard, Exclusion)) == []


def test_the_same_rows_give_the_same_bytes(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (a,), (b,) = (write_table(tmp_path / name, "problems", PROBLEMS) for name in ("a", "b"))
    assert a.read_bytes() == b.read_bytes()


def test_a_lone_surrogate_becomes_a_replacement_character(tmp_path: Path):
    trace = Trace(trace_id="t", problem_id="p", author="a", sample_index=0, answer="x\ud800y")
    (shard,) = write_table(tmp_path, "traces", [trace])
    (row,) = read_shard(shard, Trace)
    assert row.answer in ("x\ufffdy", "x\ufffd\ufffd\ufffdy")


def test_a_shard_of_other_columns_says_what_to_do(tmp_path: Path):
    (shard,) = write_table(tmp_path, "exclusions", [])
    with pytest.raises(StoreError, match="run the study again"):
        list(read_shard(shard, Problem))


def test_a_broken_shard_says_what_to_do(tmp_path: Path):
    shard = tmp_path / "problems-00000.parquet"
    shard.write_bytes(b"PAR1 not really")
    with pytest.raises(StoreError, match="ledgers are kept"):
        list(read_shard(shard, Problem))
