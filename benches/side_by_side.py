#!/usr/bin/env python3
"""Training and inference beside PyTorch on the same documents: alternating runs, medians, one ratio a line.

Needs `pip install torch transformers safetensors numpy`, and a built `cargo build --release --bench speed`.

    python benches/side_by_side.py                       # small, mini, base in f32
    python benches/side_by_side.py --models mini --dtype bf16 --rounds 3
"""
import argparse, glob, json, os, statistics, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import torch_ref  # noqa: E402

# preset of torch_ref.py, documents in a step, steps, mean tokens, spread, documents
MODELS = {
    "small": ("mini", 16, 20, 126.0, 0.0001, 64),  # 16 windows of 128 tokens, nothing to pad
    "mini": ("mini", 4, 12, 700.0, 0.6, 64),
    "base": ("base", 2, 4, 700.0, 0.6, 8),
}


def prepare(folder, name, dtype):
    """The documents as JSON and the sweep file of the model, for our side."""
    preset, _, _, mean, sigma, count = MODELS[name]
    cfg = torch_ref.Cfg(**torch_ref.PRESETS[preset])
    documents, labels = torch_ref.synth(count, cfg, mean, sigma, 2)
    data = dict(vocabulary=cfg.vocab, documents=documents, labels=labels, classes=cfg.num_labels)
    with open(f"{folder}/{name}.json", "w") as file:
        json.dump(data, file)
    with open(f"{folder}/{name}.toml", "w") as file:
        file.write(f"""[data]
path = "unused.jsonl"
[model]
hidden = {cfg.hidden}
layers = {cfg.layers}
heads = {cfg.heads}
intermediate = {cfg.inter}
segment_len = {cfg.segment_len}
stride = {cfg.stride}
max_segments = {cfg.max_segments}
aggregator = {{ layers = {cfg.agg_layers}, heads = {cfg.agg_heads}, feed_forward = {cfg.agg_ff} }}
[train]
learning_rate = 5e-5
precision = "{dtype}"
""")


def lines(command, threads):
    env = dict(os.environ, RAYON_NUM_THREADS=str(threads), CANDLE_NUM_THREADS=str(threads),
               MIMALLOC_PURGE_DELAY="-1")
    out = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    found = {}
    for line in out.stdout.splitlines():
        figures = json.loads(line)
        if "phase" in figures:
            best = found.setdefault(figures["phase"], figures)
            if figures["encoder_tokens_per_s"] > best["encoder_tokens_per_s"]:
                found[figures["phase"]] = figures
        elif "peak_gemm_gflops" in figures:
            found["peak"] = figures["peak_gemm_gflops"]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="small,mini,base")
    parser.add_argument("--dtype", default="f32", choices=["f32", "bf16"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--binary", help="the built bench `speed`; default: the newest in target/release/deps")
    args = parser.parse_args()
    built = [path for path in glob.glob(f"{HERE}/../target/release/deps/speed-*") if os.access(path, os.X_OK)]
    binary = args.binary or max(built, key=os.path.getmtime, default=None)
    if not binary:
        sys.exit("build our side first: cargo build --release --bench speed")
    with tempfile.TemporaryDirectory() as folder:
        for name in args.models.split(","):
            preset, batch, steps, mean, sigma, count = MODELS[name]
            prepare(folder, name, args.dtype)
            ours, theirs = [], []
            for _ in range(args.rounds):
                ours.append(lines([binary, "--spec", f"{folder}/{name}.toml", "--documents", f"{folder}/{name}.json",
                                   "--batch", str(batch), "--train-steps", str(steps), "--warm-steps", "3",
                                   "--infer-reps", "3"], args.threads))
                theirs.append(lines([sys.executable, f"{HERE}/torch_ref.py", "bench", "--preset", preset,
                                     "--dtype", args.dtype, "--threads", str(args.threads), "--batch", str(batch),
                                     "--train-steps", str(steps), "--warm-iters", "3", "--mean-len", str(mean),
                                     "--sigma", str(sigma), "--docs", str(count), "--modes", "bucket",
                                     "--latency-docs", "0", "--infer-reps", "3"], args.threads))
            def median(runs, phase, key):
                return statistics.median(run[phase][key] for run in runs)
            for phase in ("train", "infer"):
                figures = {}
                for key in ("encoder_tokens_per_s", "encoder_tokens_per_cpu_s", "rss_peak_mb"):
                    a, b = median(ours, phase, key), median(theirs, phase, key)
                    figures[key] = dict(ours=round(a), torch=round(b), ratio=round(a / b, 2))
                print(json.dumps(dict(model=name, phase=phase, dtype=args.dtype, threads=args.threads,
                                      torch_peak_gemm_gflops=statistics.median(run["peak"] for run in theirs),
                                      **figures)), flush=True)


if __name__ == "__main__":
    main()
