//! Sums of rows of tables, by number; the gradients go to those rows only.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::Pass;
use super::slices::with_slices;
use crate::model::params::Param;

/// Which rows of a table [entries, width].
#[derive(Clone)]
pub(in crate::model) struct Lookup {
    pub(in crate::model) table: Arc<Param>,
    pub(in crate::model) ids: Arc<[u32]>,
}

/// The sum over the tables of the rows looked up, [ids, width]. Either all tables are trained or none.
pub(in crate::model) fn embedding(lookups: &[Lookup], pass: &Pass) -> Result<Tensor> {
    let Some(first) = lookups.first() else { candle_core::bail!("an embedding without tables") };
    if pass.is_fused(first.table.value()) {
        return first.table.anchor(pass).apply_op1(Embedding(lookups.to_vec()));
    }
    let rows = |lookup: &Lookup| {
        let ids = Tensor::from_slice(&lookup.ids, lookup.ids.len(), lookup.table.value().device())?;
        lookup.table.exact(pass).index_select(&ids, 0)
    };
    let mut sum = rows(first)?;
    for lookup in &lookups[1..] {
        sum = sum.add(&rows(lookup)?)?;
    }
    sum.to_dtype(pass.precision.dtype())
}

struct Embedding(Vec<Lookup>);

impl CustomOp1 for Embedding {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let (count, width) = (self.0[0].ids.len(), self.0[0].table.value().dim(1)?);
        let mut sum = vec![0f32; count * width];
        for Lookup { table, ids } in &self.0 {
            let entries = table.value().dim(0)?;
            if let Some(id) = ids.iter().find(|id| **id as usize >= entries) {
                candle_core::bail!("{}: id {id} is beyond the table of {entries}", table.name());
            }
            with_slices([table.value()], |[table]| {
                for (sum, id) in sum.chunks_exact_mut(width).zip(ids.iter()) {
                    let row = &table[*id as usize * width..(*id as usize + 1) * width];
                    sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
                }
                Ok(())
            })?;
        }
        Ok((CpuStorage::F32(sum), Shape::from((count, width))))
    }

    fn bwd(&self, anchor: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        with_slices([&gradient], |[gradient]| {
            self.0.iter().try_for_each(|Lookup { table, ids }| table.add_row_gradients(ids, gradient))
        })?;
        Ok(Some(anchor.zeros_like()?))
    }
}
