//! Settings that are good and have no effect, because nothing reads them beside the others.

use super::{AggregatorKind, Config, LabelAttention, Spec, Trainer, Transformer};
use crate::search::space::Point;

/// Points of the search that are looked at.
const FIRST: u32 = 200;

impl Spec {
    /// Keys that the file writes or varies and that no point of the space reads, with the reason at its first one.
    pub fn unread(&self) -> Vec<(&'static str, &'static str)> {
        let Trainer::BuiltIn(trainer) = &self.trainer else {
            return Vec::new();
        };
        let config_at = |point: &Point| self.accepts(point).then(|| trainer.config_at(point).ok()).flatten();
        let first = config_at(&self.search.space.first_point());
        let mut unread = first.map(|config| config.unread()).unwrap_or_default();
        unread.retain(|(key, _)| trainer.writes(key) || self.search.space.names().any(|name| name == *key));
        for point in self.points() {
            if unread.is_empty() {
                break;
            }
            let Some(config) = config_at(&point) else { continue };
            let here = config.unread();
            unread.retain(|(key, _)| here.iter().any(|(other, _)| other == key));
        }
        unread
    }

    /// Points that stand for all: the ends of every parameter, and those that come first.
    fn points(&self) -> impl Iterator<Item = Point> {
        let space = &self.search.space;
        let ends = space.parameters().iter().flat_map(|parameter| {
            let values = parameter.domain.representatives().into_iter();
            values.map(|value| space.first_point().with(&parameter.name, value))
        });
        ends.chain(self.first_points(FIRST))
    }
}

impl Config {
    /// Keys that nothing reads, each with the reason.
    fn unread(&self) -> Vec<(&'static str, &'static str)> {
        let mut unread = Vec::new();
        let mut add = |because: &'static str, keys: &[&'static str]| {
            unread.extend(keys.iter().map(|key| (*key, because)));
        };
        let model = &self.model;
        match model.label_attention {
            LabelAttention::None => {
                let keys = ["model.label_scale", "model.label_projection", "model.label_norm"];
                add("model.label_attention is \"none\"", &keys);
            }
            LabelAttention::LabelWise => {
                let keys = ["model.label_norm", "model.aggregator.pooling"];
                add("with model.label_attention = \"label-wise\" the labels read the segments", &keys);
            }
            LabelAttention::Doc => {}
        }
        if let AggregatorKind::Transformer(Transformer { layers: 0, .. }) = model.aggregator.kind {
            let keys = [
                "model.aggregator.heads",
                "model.aggregator.feed_forward",
                "model.aggregator.activation",
                "model.aggregator.norm",
            ];
            add("model.aggregator.layers is 0", &keys);
        }
        if self.train.freeze.embeddings && self.train.freeze.layers == usize::MAX {
            add("train.freeze leaves nothing of the encoder to train", &["train.layer_decay"]);
        }
        if !self.data.is_multi_label() {
            add("documents have one label each: the likeliest is given", &["train.threshold"]);
        }
        unread
    }
}
