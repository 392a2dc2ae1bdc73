#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'HELP'
usage: scripts/build-cuda.sh [--tests] [--wheels] [-h]

Builds `sweep` for NVIDIA cards (feature `cuda`) on a machine that needs neither a card nor the CUDA toolkit: the
compiler of CUDA 13.0 comes from PyPI (about 0.3 GB). Where `nvcc` is on the PATH, that toolkit is used.

  --tests   also build the library's tests, for scripts/gpu-check.sh
  --wheels  take the toolkit from PyPI even where there is an nvcc
  -h        this help

Needs: Linux on x86-64, cargo, a C compiler and, for the wheels, python3 with pip. A first build takes about six minutes
on two cores and as long again for the tests, a later one as long as cargo needs; it fills about 1.5 GB.

The binary runs with and without a card: CUDA's libraries are opened when they are first called (scripts/cuda/). Where
it finds a card it needs there
  - the driver (for CUDA 13: 580 or newer),
  - cuBLAS and cuRAND of the same major version: in /usr/local/cuda, in the loader's path or in LD_LIBRARY_PATH.
candle's kernels for quantised models are left out: `sweep` calls none, and they take longer than all the rest.

Settings, by environment:
  CUDA_COMPUTE_CAP  the card's compute capability; default: that of this machine's card, else 90 (H100, H200). 80: A100,
                    and by way of the driver every newer card; 86: RTX 30, A10; 89: RTX 40, L4, L40; 100: B200; 120: RTX 50.
                    From 90 on, a build runs on cards of exactly that capability.
  CUDA_BUILD_DIR    the wheels and what is made of them; default: ~/.cache/sweep-cuda
  CARGO_TARGET_DIR  default: target-cuda in the repository
  CARGO_BUILD_JOBS  compilers at once; default: one a core

Makes gpu/ in the target directory: sweep, sweep-tests (with --tests) and about.txt. That folder is what a machine with
a card needs, beside the repository (scripts/gpu-check.sh).
HELP
}

# driver 580 and newer; a later toolkit would ask for a later driver
readonly WHEELS="cuda-toolkit[nvcc,crt,nvvm,cudart,cccl]==13.0.*"
readonly HOST=x86_64-unknown-linux-gnu

main() {
    local tests=false wheels=false argument
    for argument in "$@"; do
        case "$argument" in
            --tests) tests=true ;;
            --wheels) wheels=true ;;
            -h | --help) usage; exit ;;
            *) usage >&2; exit 2 ;;
        esac
    done
    repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    build=$(absolute "${CUDA_BUILD_DIR:-$HOME/.cache/sweep-cuda}")
    target=$(absolute "${CARGO_TARGET_DIR:-$repository/target-cuda}")
    compiler=${CC:-cc}
    check_machine
    mkdir -p "$build" "$target/gpu"
    cd "$repository"

    if ! $wheels && command -v nvcc >/dev/null; then
        toolkit=$(cd "$(dirname "$(readlink -f "$(command -v nvcc)")")/.." && pwd)
    else
        fetch_wheels
    fi
    version=$("$toolkit/bin/nvcc" --version | sed -n 's/.*release \([0-9]*\.[0-9]*\).*/\1/p')
    capability=${CUDA_COMPUTE_CAP:-$(card_capability)}
    say "CUDA $version of $toolkit, for compute capability $capability"

    fetch_crates
    make_home
    compile "$tests"
    conclude "$tests"
}

say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*"; }

fail() {
    printf 'build-cuda: %s\n' "$*" >&2
    exit 1
}

absolute() { case "$1" in /*) printf '%s' "$1" ;; *) printf '%s/%s' "$PWD" "$1" ;; esac; }

check_machine() {
    command -v cargo >/dev/null || fail "there is no cargo: install Rust (https://rustup.rs)"
    command -v "$compiler" >/dev/null || fail "there is no C compiler $compiler: install gcc, or name one in CC"
    local host
    host=$(rustc -vV | sed -n 's/^host: //p')
    [[ $host == "$HOST" ]] ||
        fail "made for $HOST, this is $host: with a CUDA toolkit, try cargo build --release --features cuda"
}

# Of the first card, such as 90; without a card, Hopper's.
card_capability() {
    local found=""
    if command -v nvidia-smi >/dev/null; then
        found=$(nvidia-smi --id=0 --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | tr -cd '0-9' || true)
    fi
    printf '%s' "${found:-90}"
}

fetch_wheels() {
    local wheels="$build/wheels-13.0"
    toolkit="$wheels/nvidia/cu13"
    # a marker, written last: an interrupted installation is done again
    if [[ ! -e "$wheels/complete" ]]; then
        say "fetching CUDA's compiler from PyPI into $wheels"
        rm -rf "$wheels"
        PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --target "$wheels" "$WHEELS" ||
            fail "pip could not install $WHEELS"
        # zip files of wheels lose the permissions, and nvcc looks for lib64 beside bin
        chmod +x "$toolkit"/bin/* "$toolkit"/nvvm/bin/*
        ln -sfn lib "$toolkit/lib64"
        touch "$wheels/complete"
    fi
}

fetch_crates() {
    say "fetching crates"
    cargo fetch --quiet --locked --target "$HOST"
    local manifests
    manifests=$(cargo metadata --quiet --format-version 1 --locked --filter-platform "$HOST" --features cuda |
        grep -o '"manifest_path":"[^"]*"' | cut -d '"' -f 4)
    cudarc=$(dirname "$(grep '/cudarc-[0-9][^/]*/Cargo.toml$' <<<"$manifests")")
    kernels=$(dirname "$(grep '/candle-kernels-[0-9][^/]*/Cargo.toml$' <<<"$manifests")")
}

# A folder in the shape of a toolkit: its compiler behind a wrapper, its libraries replaced by lazy ones.
make_home() {
    home="$build/home-$version"
    rm -rf "$home"
    mkdir -p "$home/bin" "$home/lib64"
    ln -s "$toolkit/include" "$home/include"
    write_nvcc
    write_linker

    local scripts="$repository/scripts/cuda" number=0 name
    # candle-core has cudarc link these libraries, so a program would not start without them. The linker finds scripts
    # under their names that pull in entries which open the library at the first call.
    "$compiler" -O2 -fPIC -DCUDA_MAJOR="${version%%.*}" -c -o "$home/lazy.o" "$scripts/lazy.c"
    for name in cuda cublas cublasLt curand nvrtc; do
        # the order is that of lazy.c
        functions "$name" | lazy_library "$name" "$number"
        number=$((number + 1))
    done
    ar rcs "$home/lazy.a" "$home/lazy.o" "$home"/entries-*.o

    # candle-kernels asks for cudart on behalf of what is left out
    {
        printf '#include <stdio.h>\n#include <stdlib.h>\n'
        printf 'static void absent(void) { fputs("quantised kernels are not in this build", stderr); abort(); }\n'
        sed -nE 's/^ *pub fn ([a-z_0-9]+)\(.*/void \1(void) { absent(); }/p' "$kernels/src/ffi.rs"
    } >"$home/absent.c"
    "$compiler" -O2 -fPIC -ffunction-sections -c -o "$home/absent.o" "$home/absent.c"
    ar rcs "$home/absent.a" "$home/absent.o"
    printf 'INPUT(%s)\n' "$home/absent.a" >"$home/lib64/libcudart.so"
}

# The functions of a library that Rust could call.
functions() {
    local module
    case "$1" in
        cuda) module=driver ;;
        *) module=${1,,} ;;
    esac
    sed -nE 's/^ {12}fn ([A-Za-z0-9_]+)\(.*/\1/p' "$cudarc/src/$module/sys/mod.rs" | sort -u
}

lazy_library() {
    local name=$1 number=$2
    {
        cat "$repository/scripts/cuda/entry.S"
        sed "s/.*/lazy &, $number/"
    } >"$home/entries-$name.S"
    "$compiler" -c -o "$home/entries-$name.o" "$home/entries-$name.S"
    printf 'INPUT(%s)\n' "$home/lazy.a" >"$home/lib64/lib$name.so"
}

# Makes empty objects of the quantised kernels.
write_nvcc() {
    {
        printf '#!/usr/bin/env bash\nset -euo pipefail\nnvcc=%q compiler=%q\n' "$toolkit/bin/nvcc" "$compiler"
        cat <<'NVCC'
for argument in "$@"; do
    case "$argument" in
        */moe/*.cu | */mmq_gguf/*.cu | */mmvq_gguf.cu)
            while [[ $1 != -o ]]; do shift; done
            exec "$compiler" -x c -c -o "$2" /dev/null
            ;;
    esac
done
exec "$nvcc" "$@"
NVCC
    } >"$home/bin/nvcc"
    chmod +x "$home/bin/nvcc"
}

# Looks into our folder before any other: where a toolkit is installed, its libraries are found too.
write_linker() {
    printf '#!/bin/sh\nexec %q -L%q "$@"\n' "$compiler" "$home/lib64" >"$home/bin/linker"
    chmod +x "$home/bin/linker"
}

compile() {
    unset CUDA_PATH CUDA_ROOT CUDA_TOOLKIT_ROOT_DIR CUDNN_LIB
    export CUDA_HOME="$home" NVCC="$home/bin/nvcc" CUDA_COMPUTE_CAP="$capability"
    export CUDARC_CUDA_VERSION="${version%%.*}0${version##*.}0"
    export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER="$home/bin/linker" CARGO_TARGET_DIR="$target"
    if [[ -n ${CARGO_BUILD_JOBS:-} ]]; then export CUDAFORGE_THREADS="$CARGO_BUILD_JOBS"; fi
    local options=(--release --features cuda --locked)

    say "building sweep in $target"
    cargo build "${options[@]}" --bin sweep
    cp "$target/release/sweep" "$target/gpu/sweep"
    rm -f "$target/gpu/sweep-tests"
    if [[ $1 == true ]]; then
        say "building its tests"
        local built
        built=$(cargo test "${options[@]}" --lib --no-run --message-format=json-render-diagnostics |
            grep -o '"executable":"[^"]*"' | tail -n 1 | cut -d '"' -f 4)
        cp "$built" "$target/gpu/sweep-tests"
    fi
    {
        echo "cuda=$version"
        echo "capability=$capability"
        echo "commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
        # where the tests look for their fixtures
        echo "repository=$repository"
    } >"$target/gpu/about.txt"
}

conclude() {
    local sweep="$target/gpu/sweep" tests="$target/gpu/sweep-tests" needed
    needed=$(ldd "$sweep" | grep -E 'lib(cu|nv)' || true)
    [[ -z $needed ]] || fail "$sweep would not start without CUDA's libraries:
$needed"
    "$sweep" --version >/dev/null || fail "$sweep does not start here"
    local card="no card on it"
    if nvidia-smi -L >/dev/null 2>&1; then card="$(nvidia-smi -L | wc -l) card(s) on it"; fi
    say "done in $((SECONDS / 60)) min $((SECONDS % 60)) s; started on this machine ($card):"
    size "$sweep"
    if [[ $1 == true ]]; then
        "$tests" golden >"$target/gpu/golden.log" 2>&1 ||
            fail "the golden tests fail here, see $target/gpu/golden.log"
        size "$tests"
        say "the golden tests pass here"
    fi
}

size() { printf '  %s  %s MB\n' "$1" "$(($(stat -c %s "$1") / 1000000))"; }

main "$@"
