//! Tokens per second of training and inference on given documents: our half of `benches/side_by_side.py`.

#![allow(clippy::print_stdout, reason = "its figures are what it is for")]

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use candle_core::Device;
use clap::Parser;
use serde::Deserialize;
use serde_json::json;
use sweep::model::{Batch, Classifier, Document, Precision, Sizes};
use sweep::spec::{self, Config, Encoder};
use sweep::text::{Special, windows};
use sweep::train::{Input, Limits, Piece, Trainer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Args {
    /// The sweep file of the model.
    #[arg(long)]
    spec: PathBuf,
    /// JSON: `vocabulary`, `documents` (token ids each), `labels`, `classes`.
    #[arg(long)]
    documents: PathBuf,
    /// Documents in a micro-batch.
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Micro-batches in a step.
    #[arg(long, default_value_t = 1)]
    accumulate: usize,
    #[arg(long, default_value_t = 6)]
    train_steps: usize,
    #[arg(long, default_value_t = 1)]
    warm_steps: usize,
    #[arg(long, default_value_t = 1)]
    infer_reps: usize,
    /// Documents that are scored together; the tool itself takes up to 32,768 tokens at once on a CPU.
    #[arg(long, default_value_t = 32)]
    infer_batch: usize,
    /// Most tokens whose activations are kept at once.
    #[arg(long, default_value_t = 65_536)]
    tokens: usize,
    /// What `cargo bench` passes.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Deserialize)]
struct Data {
    vocabulary: usize,
    documents: Vec<Vec<u32>>,
    labels: Vec<u32>,
    classes: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let data: Data = serde_json::from_str(&std::fs::read_to_string(&args.documents)?)?;
    let config = Config::parse(&std::fs::read_to_string(&args.spec)?)?;
    let (model, train) = (&config.model, &config.train);
    let Encoder::Scratch(scratch) = &model.encoder else { return Err("the encoder must be from scratch".into()) };
    let sizes = Sizes {
        vocab_size: data.vocabulary,
        hidden_size: scratch.hidden,
        num_hidden_layers: scratch.layers,
        num_attention_heads: scratch.heads,
        intermediate_size: scratch.intermediate,
        max_position_embeddings: model.segment_len,
        type_vocab_size: 2,
        layer_norm_eps: 1e-12,
    };
    let given = std::collections::HashMap::new();
    let classifier = Classifier::new(&sizes, model, data.classes, train.freeze, given, 1, &Device::Cpu)?;
    let piece = |numbers: &[usize]| {
        let documents = numbers.iter().map(|number| Document {
            number: *number as u32,
            tokens: data.documents[*number].clone(),
            windows: windows(data.documents[*number].len(), model),
        });
        let batch = Batch::new(documents, Special { cls: 101, sep: 102, pad: 0, unknown: 100 });
        Piece {
            documents: numbers.iter().map(|number| *number as u32).collect(),
            input: Input::Tokens(batch),
            labels: numbers.iter().map(|number| vec![data.labels[*number]]).collect(),
        }
    };
    let tokens = |piece: &Piece| if let Input::Tokens(batch) = &piece.input { batch.tokens() } else { 0 };
    let precision = match train.precision {
        spec::Precision::Bf16 => Precision::Bf16,
        _ => Precision::F32,
    };
    let limits = Limits { tokens: args.tokens, precision };
    let mut trainer = Trainer::new(classifier, train, &vec![1; data.classes], data.classes, limits)?;
    let (mut seconds, mut cpu, mut seen, mut loss) = (0.0, 0.0, 0, f64::NAN);
    let mut best = f64::INFINITY;
    for step in 0..args.warm_steps + args.train_steps {
        let (start, start_cpu) = (Instant::now(), cpu_seconds());
        let need = args.batch * args.accumulate;
        let numbers: Vec<usize> = (0..need).map(|i| (step * need + i) % data.documents.len()).collect();
        let pieces: Vec<Piece> = numbers.chunks(args.batch).map(piece).collect();
        loss = trainer.step(&pieces, 1.0, Some(step as u64))?.loss;
        if step >= args.warm_steps {
            let took = start.elapsed().as_secs_f64();
            let now: usize = pieces.iter().map(tokens).sum();
            best = best.min(took / now as f64);
            seconds += took;
            cpu += cpu_seconds() - start_cpu;
            seen += now;
        }
    }
    if args.train_steps > 0 {
        println!(
            "{}",
            json!({
                "phase": "train", "steps": args.train_steps, "seconds": seconds,
                "encoder_tokens_per_s": seen as f64 / seconds, "best_step_tokens_per_s": 1.0 / best,
                "encoder_tokens_per_cpu_s": seen as f64 / cpu, "last_loss": loss, "rss_peak_mb": peak_mb(),
            })
        );
    }
    for _ in 0..args.infer_reps {
        let all: Vec<usize> = (0..data.documents.len()).collect();
        let pieces: Vec<Piece> = all.chunks(args.infer_batch).map(piece).collect();
        let (start, start_cpu) = (Instant::now(), cpu_seconds());
        for piece in &pieces {
            trainer.logits(&piece.input)?;
        }
        let seen: usize = pieces.iter().map(tokens).sum();
        println!(
            "{}",
            json!({
                "phase": "infer", "seconds": start.elapsed().as_secs_f64(),
                "encoder_tokens_per_s": seen as f64 / start.elapsed().as_secs_f64(),
                "encoder_tokens_per_cpu_s": seen as f64 / (cpu_seconds() - start_cpu), "rss_peak_mb": peak_mb(),
            })
        );
    }
    Ok(())
}

/// Of this process so far.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32).as_secs_f64()
}

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) / 1024
}
