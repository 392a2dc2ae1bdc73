#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'HELP'
usage: scripts/gpu-check.sh [-h] [SWEEP [TESTS]]

Checks a build of scripts/build-cuda.sh --tests on a machine with an NVIDIA card:
  1. the card and its driver, and cuBLAS and cuRAND
  2. the golden fixtures on the card (the model, the losses and the optimiser against PyTorch's numbers)
  3. sweep doctor
  4. the main job, sweeps/lr.toml: every run must finish on the card
  5. the speed of training, from sweeps/gpu.toml if the repository has it

Takes minutes. Ends with a block for docs/gpu.md, and with an exit code other than 0 if anything failed.

  SWEEP  default: target-cuda/gpu/sweep (or gpu/sweep in CARGO_TARGET_DIR)
  TESTS  default: sweep-tests beside SWEEP

Needs no Rust: this repository with data/, sweeps/ and tests/, and the two binaries with the about.txt beside them. The
tests look for their fixtures in the place where they were built; where there is none, that place is made a symbolic
link to this repository, and removed again at the end.

Settings, by environment:
  LD_LIBRARY_PATH  where CUDA's libraries are, if not in /usr/local/cuda, the loader's path or Python's packages
  GPU_CHECK_LOGS   where logs and databases go; default: a new folder in the temporary directory
HELP
}

failures=()
# name and result of each step, for the report
results=()

main() {
    case "${1:-}" in -h | --help) usage; exit ;; esac
    [[ $# -le 2 ]] || { usage >&2; exit 2; }
    local here
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    sweep=$(absolute "${1:-${CARGO_TARGET_DIR:-$here/target-cuda}/gpu/sweep}")
    tests=$(absolute "${2:-$(dirname "$sweep")/sweep-tests}")
    repository=$here
    about="$(dirname "$sweep")/about.txt"
    logs=${GPU_CHECK_LOGS:-$(mktemp -d "${TMPDIR:-/tmp}/gpu-check.XXXXXX")}
    mkdir -p "$logs/lr" "$logs/gpu"
    logs=$(cd "$logs" && pwd)
    cd "$repository"
    trap clean EXIT

    local file
    for file in "$sweep" "$tests" "$about"; do
        [[ -e $file ]] || stop "there is no $file: build it with scripts/build-cuda.sh --tests"
    done
    say "logs: $logs"
    check_card
    check_libraries
    start_meter
    step "golden fixtures" golden
    step "doctor" doctor
    step "main job" main_job
    step "speed" speed
    report
    [[ ${#failures[@]} -eq 0 ]] || { printf 'gpu-check: failed: %s\n' "${failures[@]}" >&2; exit 1; }
}

say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*"; }

stop() {
    printf 'gpu-check: %s\n' "$*" >&2
    exit 1
}

absolute() { case "$1" in /*) printf '%s' "$1" ;; *) printf '%s/%s' "$PWD" "$1" ;; esac; }

fact() { sed -n "s|^$1=||p" "$about"; }

link=""
meter=""

clean() {
    if [[ -n $meter ]]; then kill "$meter" 2>/dev/null || true; fi
    if [[ -n $link ]]; then rm -f "$link"; fi
}

# Runs a step: a function that leaves what it found in `result`, and returns other than 0 if it is not good. Called in
# a condition, it does not stop at a failure by itself.
step() {
    local name=$1 from=$SECONDS
    say "$name"
    result=""
    if "$2" >"$logs/$2.log" 2>&1; then
        say "  ${result:-good} ($((SECONDS - from)) s)"
    else
        result="FAILED${result:+: $result}"
        failures+=("$name, see $logs/$2.log")
        say "  $result"
        tail -n 15 "$logs/$2.log" | sed 's/^/  | /'
    fi
    results+=("$name" "${result:-good}")
}

check_card() {
    command -v nvidia-smi >/dev/null || stop "there is no nvidia-smi: is the driver installed?"
    local line
    line=$(nvidia-smi --id=0 --query-gpu=name,driver_version,memory.total --format=csv,noheader) ||
        stop "nvidia-smi finds no card"
    IFS=, read -r card driver memory <<<"$line"
    driver=${driver# } memory=${memory# }
    say "$card, $memory, driver $driver"
}

# Finds cuBLAS and cuRAND where the loader does not: in a toolkit, or in the packages that PyTorch brings.
check_libraries() {
    local major name place places=()
    major=$(fact cuda)
    major=${major%%.*}
    IFS=: read -ra places <<<"${LD_LIBRARY_PATH:-}"
    places+=(/usr/local/cuda/lib64 "/usr/local/cuda-$major"*/lib64 /opt/cuda/lib64)
    while IFS= read -r place; do
        places+=("$place/nvidia/cu$major/lib" "$place/nvidia/cublas/lib" "$place/nvidia/curand/lib")
    done < <(python3 -c 'import site, sys; print(*filter(None, sys.path + site.getsitepackages()), sep="\n")' 2>/dev/null)
    for name in "libcublas.so.$major" libcurand.so.10; do
        if ldconfig -p 2>/dev/null | grep "$name" >/dev/null; then continue; fi
        place=$(first_with "$name" "${places[@]}") ||
            stop "found no $name: install CUDA $major, or nvidia-cublas and nvidia-curand by pip, or set LD_LIBRARY_PATH"
        say "$name in $place"
        export LD_LIBRARY_PATH="$place${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    done
}

first_with() {
    local name=$1 place
    for place in "${@:2}"; do
        if [[ -e $place/$name ]]; then
            printf '%s' "$place"
            return
        fi
    done
    return 1
}

# Memory of the first card, once a second.
start_meter() {
    while sleep 1; do
        nvidia-smi --id=0 --query-gpu=memory.used --format=csv,noheader,nounits
    done >>"$logs/memory" 2>/dev/null &
    meter=$!
}

# Most MiB since the last call.
peak_memory() {
    local peak
    peak=$(sort -n "$logs/memory" | tail -n 1)
    : >"$logs/memory"
    printf '%s' "${peak:-?}"
}

golden() {
    place_fixtures || return
    # without a card the tests run on the CPU: here they must not
    SWEEP_CUDA_TRACE=1 SWEEP_TEST_DEVICE=cuda "$tests" golden || return
    grep -qE 'test result: ok\. [1-9]' "$logs/golden.log" || { result="no test ran"; return 1; }
    grep -q 'cuda: opened libcublas' "$logs/golden.log" || { result="ran on the CPU"; return 1; }
    result="equal to PyTorch's within 1e-4"
}

place_fixtures() {
    local built
    built=$(fact repository)
    if [[ ! -e $built/tests/fixtures/golden ]]; then
        if [[ -e $built ]] || ! mkdir -p "$(dirname "$built")" || ! ln -s "$repository" "$built"; then
            result="the tests look for their fixtures in $built: make it a link to $repository"
            return 1
        fi
        link=$built
        echo "made $built a link to $repository"
    fi
    diff -rq "$built/tests/fixtures/golden" "$repository/tests/fixtures/golden" ||
        { result="the fixtures in $built are others than those in $repository"; return 1; }
}

doctor() {
    "$sweep" doctor || return
    grep -qF "$card" "$logs/doctor.log" || { result="does not speak of the card"; return 1; }
}

# One value of a database, as text.
ask() { "$sweep" sql "select ($2) as answer" --db "$1" --format csv | sed -n 2p; }

main_job() {
    local db="$logs/lr/experiments.db"
    peak_memory >/dev/null
    local from=$SECONDS
    "$sweep" run sweeps/lr.toml --db "$db" || return
    local seconds=$((SECONDS - from)) peak runs elsewhere best
    peak=$(peak_memory)
    runs=$(ask "$db" "select count(*) from runs where state = 'finished'")
    elsewhere=$(ask "$db" "select count(*) from runs where state <> 'finished' or coalesce(device, '') not like 'cuda%'")
    best=$(ask "$db" "select printf('%.4f', best_score) from sweeps")
    result="$runs runs in $seconds s, best score $best, up to $peak MiB of the card"
    [[ ${runs:-0} -gt 0 && ${elsewhere:-1} -eq 0 ]] || { result+="; $elsewhere runs did not finish on the card"; return 1; }
}

# Tokens of the documents that the windows hold, over the time of the runs, their start and their validation included.
# Tokens that two windows share count once. To be replaced by a benchmark of the training step.
speed() {
    local spec=sweeps/gpu.toml db="$logs/gpu/experiments.db"
    if [[ ! -e $spec ]]; then
        result="not measured: there is no $spec"
        return
    fi
    local tokens truncated rate peak
    "$sweep" check "$spec" --db "$db" --format json >"$logs/check.json" || return
    tokens=$(statistic tokens) truncated=$(statistic truncated_share)
    [[ -n $tokens && -n $truncated ]] || { result="sweep check gives no numbers of tokens"; return 1; }
    peak_memory >/dev/null
    "$sweep" run "$spec" --db "$db" || return
    peak=$(peak_memory)
    # a fold trains on all documents but its own
    rate=$(ask "$db" "select printf('%.0f', $tokens * (1 - $truncated) * avg(1 - 1.0 / s.folds) * sum(r.epochs)
        / sum(r.seconds)) from runs r join sweeps s using (sweep) where r.state = 'finished' and r.device like 'cuda%'")
    [[ ${rate:-0} -gt 0 ]] || { result="no run finished on the card"; return 1; }
    result="$rate tokens/s in training ($spec), up to $peak MiB of the card"
}

# A number of sweep check.
statistic() { sed -nE "s/^ *\"$1\": ([0-9.e-]+),?$/\1/p" "$logs/check.json"; }

report() {
    local index
    printf '\n## %s, %s\n\n' "$(date +%F)" "$card"
    printf '%s, driver %s, CUDA %s, built for compute capability %s, commit %s.\n\n' \
        "$memory" "$driver" "$(fact cuda)" "$(fact capability)" "$(fact commit)"
    printf '| check | result |\n|---|---|\n'
    for ((index = 0; index < ${#results[@]}; index += 2)); do
        printf '| %s | %s |\n' "${results[index]}" "${results[index + 1]}"
    done
    echo
}

main "$@"
