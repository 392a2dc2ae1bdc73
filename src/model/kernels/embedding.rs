//! Rows of a table by number; the gradient goes to those rows only.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::Pass;
use super::slices::with_slices;
use crate::model::params::Param;

/// The rows `ids` of `table` [entries, width], as [ids, width].
pub(in crate::model) fn embedding(ids: &Arc<[u32]>, table: &Arc<Param>, pass: &Pass) -> Result<Tensor> {
    if pass.is_fused(table.value()) {
        return table.anchor(pass).apply_op1(Embedding {
            ids: ids.clone(),
            table: table.clone(),
        });
    }
    let rows = Tensor::from_slice(ids, ids.len(), table.value().device())?;
    table.tensor(pass).index_select(&rows, 0)
}

struct Embedding {
    ids: Arc<[u32]>,
    table: Arc<Param>,
}

impl CustomOp1 for Embedding {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let (entries, width) = self.table.value().dims2()?;
        if let Some(id) = self.ids.iter().find(|id| **id as usize >= entries) {
            candle_core::bail!("id {id} is beyond the table of {entries}");
        }
        let rows = with_slices([self.table.value()], |[table]| {
            let row = |id: &u32| &table[*id as usize * width..(*id as usize + 1) * width];
            Ok(self.ids.iter().flat_map(row).copied().collect::<Vec<f32>>())
        })?;
        Ok((CpuStorage::F32(rows), Shape::from((self.ids.len(), width))))
    }

    fn bwd(&self, anchor: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let width = self.table.value().dim(1)?;
        with_slices([&gradient], |[gradient]| {
            self.table.add_gradient(|sum| {
                for (id, gradient) in self.ids.iter().zip(gradient.chunks_exact(width)) {
                    let row = &mut sum[*id as usize * width..(*id as usize + 1) * width];
                    for (sum, x) in row.iter_mut().zip(gradient) {
                        *sum += x;
                    }
                }
            });
            Ok(())
        })?;
        Ok(Some(anchor.zeros_like()?))
    }
}
