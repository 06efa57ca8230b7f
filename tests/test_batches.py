import numpy as np
import pytest

from bears_tl.batches import batches_of, padded


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (4, [4]), (5, [4, 1]), (8, [4, 4])])
def test_rows_are_cut_in_order_and_none_is_lost(count, sizes):
    rows = np.arange(2 * count).reshape(count, 2)
    batches = batches_of(rows, 4)
    assert [len(batch) for batch in batches] == sizes
    assert np.array_equal(np.concatenate([rows[:0], *batches]), rows)
    assert [row for batch in batches_of(rows.tolist(), 4) for row in batch] == rows.tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_batch_is_filled_up_with_zeros_of_its_dtype(dtype, count):
    batch = np.ones((count, 3, 2), dtype)
    full = padded(batch, 4)
    assert full.shape == (4, 3, 2) and full.dtype == dtype
    assert np.array_equal(full[:count], batch) and not full[count:].any()
