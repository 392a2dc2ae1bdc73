#!/usr/bin/env bash
# Drives every screen of the dashboard in a real terminal (tmux), on real sweeps: one of the classifier that has finished,
# one with failures, one that runs. Looks for what must be there, and for a terminal that is whole afterwards.
#
#   scripts/dashboard-tour.sh [PROGRAM]          PROGRAM: target/debug/sweep unless it is given
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
program=$(realpath "${1:-target/debug/sweep}")
command -v tmux > /dev/null || { echo "the tour needs tmux" >&2; exit 2; }

work=$(mktemp -d)
tmux() { command tmux -L "sweep-tour-$$" -f /dev/null "$@"; }
leave() {
  tmux kill-server 2> /dev/null || true
  jobs -p | xargs -r kill 2> /dev/null || true
  wait || true
  rm -rf "$work"
}
trap leave EXIT
export XDG_CONFIG_HOME=$work/config XDG_STATE_HOME=$work/state LC_ALL=C.UTF-8
unset SWEEP_DB SWEEP_LOG SWEEP_THEME SWEEP_GLYPHS NO_COLOR TMUX

say() { printf '  %s\n' "$*"; }
screen() { tmux capture-pane -p -t "$1"; }

# terminal NAME COLUMNSxROWS: a shell of its own, in the directory of the sweeps
terminal() {
  tmux new-session -d -s "$1" -x "${2%x*}" -y "${2#*x}" -c "$work" \
    "PS1='ready> ' TERM=xterm-256color COLORTERM=truecolor exec bash --norc --noprofile -i"
  sees "$1" 'ready>'
}

# types NAME TEXT: a line for the shell
types() { tmux send-keys -t "$1" -l "$2"; tmux send-keys -t "$1" Enter; }

# keys NAME KEY...
keys() { local name=$1; shift; tmux send-keys -t "$name" "$@"; }

# clicks NAME COLUMN ROW, from 1: what a terminal sends of a mouse
clicks() { tmux send-keys -t "$1" -l $'\e[<0;'"$2;$3M"$'\e[<0;'"$2;$3m"; }

# sees NAME TEXT...: each of them comes to the screen within 30 seconds
sees() {
  local name=$1 text
  shift
  for text in "$@"; do
    for _ in $(seq 300); do
      grep -qF -- "$text" <(screen "$name") && continue 2
      sleep 0.1
    done
    printf 'not on the screen of %s: %s\n' "$name" "$text" >&2
    screen "$name" >&2
    exit 1
  done
}

# lacks NAME TEXT: it leaves the screen within 30 seconds
lacks() {
  for _ in $(seq 300); do
    grep -qF -- "$2" <(screen "$1") || return 0
    sleep 0.1
  done
  printf 'still on the screen of %s: %s\n' "$1" "$2" >&2
  screen "$1" >&2
  exit 1
}

# whole NAME: the shell is back, echoes what is typed, on the normal screen, with a cursor and without the mouse
whole() {
  sees "$1" 'ready>'
  types "$1" 'echo who''le'
  sees "$1" 'whole'
  local state
  state=$(tmux display-message -p -t "$1" '#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{bracket_paste_flag}')
  [[ ${state% *} == '0 1 0' ]] || { printf 'the terminal of %s is left as: %s\n' "$1" "$state" >&2; exit 1; }
}

sql() { "$program" --db "$work/experiments.db" --format json sql "$1"; }

echo "== sweeps to look at"
head -60 data/articles.jsonl > "$work/docs.jsonl"
cat > "$work/documents.toml" << 'EOF'
baseline = false
[data]
path = "docs.jsonl"
[folds]
k = 3
[model]
hidden = 16
layers = 1
heads = 2
segment_len = 128
stride = 120
max_segments = 8
segment_pooling = "mean"
aggregator = { kind = "transformer", layers = 1, heads = 2 }
[train]
epochs = 2
batch_size = 8
[search]
sampler = "random"
trials = 3
race = "off"
[search.space]
"train.learning_rate" = { low = 1e-3, high = 1e-2, log = true }
"model.aggregator.layers" = { values = [0, 1] }
EOF
cat > "$work/trainer.py" << 'EOF'
"""Losses that follow from the parameters; one width does not fit into memory."""
import json, os, sys, time

job = json.loads(sys.stdin.readline())
rate, width = job["params"]["learning_rate"], job["params"]["width"]
for epoch in range(1, 9):
    time.sleep(float(os.environ.get("PACE", 0)))
    if width == 512 and epoch == 3:
        sys.exit("CUDA out of memory: tried to allocate 20.00 GiB")
    loss = (rate - 0.1) ** 2 + 0.02 * job["fold"] + 1 / (epoch * width)
    print(json.dumps({"type": "progress", "epoch": epoch, "epochs": 8, "step": epoch, "steps": 8, "loss": loss}), flush=True)
    print(json.dumps({"type": "metric", "epoch": epoch, "values": {"loss": loss}}), flush=True)
print(json.dumps({"type": "done"}))
EOF
# external NAME TRIALS [LINE...]: a sweep of that program
external() {
  printf '%s\n' '[trainer]' 'command = ["python3", "trainer.py"]' '[folds]' 'k = 3' '[search]' 'sampler = "bayes"' \
    "trials = $2" 'objective = "loss"' 'direction = "minimize"' "${@:3}" '[search.space]' \
    'learning_rate = { low = 0.01, high = 1.0, log = true }' 'width = { values = [64, 128, 256, 512] }' > "$work/$1.toml"
}
external failing 12
external quiet 12
external watched 12
external live 40
external killed 40
# points that do not depend on which of two runs ends first
alike=(--set 'search.sampler="random"' --set 'search.race="off"')
(
  cd "$work"
  "$program" run documents.toml > documents.log 2>&1
  "$program" run failing.toml > failing.log 2>&1 || [[ $? == 3 ]]
  "$program" --db quiet.db run quiet.toml "${alike[@]}" > quiet.log 2>&1 || [[ $? == 3 ]]
)
(cd "$work" && PACE=0.3 exec "$program" run live.toml > live.log 2>&1) &
live=$!
for _ in $(seq 300); do
  [[ -e $work/live.log ]] && grep -q 'trial 0:' "$work/live.log" && break
  sleep 0.1
done


echo "== every screen, on a sweep that has finished"
terminal wide 120x40
types wide "$program dash"
sees wide 'documents' 'failing' 'live' '✓ finished' '▸ running' 'macro_f1'
keys wide /; tmux send-keys -t wide -l documents; keys wide Enter Enter
sees wide '3/3 trials' 'learning_rate' '★' 'trial 1: the best'
keys wide Enter
sees wide 'c curves' '3/3 folds' '─ validation' 'epoch'
keys wide f
sees wide 'best epoch' 'this is the best trial'
keys wide p
sees wide 'to run it once more' 'sweep run documents.toml'
keys wide e
sees wide 'out-of-fold answers are wrong' '体育' 'recall'
keys wide o
sees wide 'attempt-1.log'
keys wide 4
sees wide 'best and runner-up' 'mean ± se of the folds' 'its se'
keys wide 5
sees wide 'left to gain' 'would be next' 'best macro_f1'
keys wide i
sees wide 'at least 4 are needed'
keys wide p
sees wide 'the best brightest'
keys wide 6
sees wide 'raced out' 'trial 2 is finished' 'fold 0'
keys wide 7
sees wide 'what ran where' '2 slots' 'busy'
keys wide ?
sees wide 'Keys: Machine' 'all keys of this screen'
keys wide Escape
lacks wide 'all keys of this screen'

echo "== by mouse"
clicks wide 14 2
sees wide 'learning_rate' 'trial 1: the best'
clicks wide 20 6
sees wide 'trial 2: '
clicks wide 12 3
sees wide 'state ↓'
clicks wide 40 2
sees wide 'its se'
clicks wide 4 2
sees wide '✓ finished' 'best so far'
# the filter is taken away
keys wide Escape
sees wide 'failing' 'live'

echo "== one with failures"
keys wide :
tmux send-keys -t wide -l failing
sees wide 'failing'
keys wide Enter
sees wide 'failing' '✗ failed' '⊘ raced out' 'raced out after' 'died 2 times'
keys wide /
tmux send-keys -t wide -l 'width=512'
keys wide Enter
sees wide '✗ failed'
lacks wide '⊘ raced out'
keys wide Enter o
sees wide 'CUDA out of memory'
keys wide 6 
sees wide '✗'
keys wide 5
sees wide 'would be next' 'best loss'
keys wide i
sees wide 'shares of the variance' 'width'
keys wide s
sees wide 'typical score'
keys wide c
sees wide 'width' '★ best'

echo "== one that runs, steered"
keys wide :
tmux send-keys -t wide -l live
keys wide Enter
sees wide 'live ▸ running' '/40 trials'
keys wide 7
sees wide '▸ ' 'slots busy' 'next'
keys wide P
sees wide 'Pause?'
keys wide n
lacks wide 'Pause?'
keys wide P y
sees wide '‖ paused'
keys wide P y
sees wide '▸ running'
lacks wide 'paused'
keys wide A
sees wide 'Next trial of live' '0.01 to 1 (log)' 'one of 64, 128, 256, 512'
keys wide Enter
sees wide 'was tried already'
keys wide C-u
tmux send-keys -t wide -l 0.5
keys wide Enter
lacks wide 'Next trial of live'
sees wide 'live: '
keys wide '#'
sees wide 'Slots of live'
tmux send-keys -t wide -l 3
keys wide Enter
sees wide '3 slots busy'
keys wide 2 /
tmux send-keys -t wide -l 'state=running'
keys wide Enter
sees wide '▸ running'
keys wide W
tmux send-keys -t wide -l 'watch this one'
keys wide Enter
sees wide 'watch this one'
keys wide / C-u Enter
orders=$(sql "select count(*) as n from orders where sweep = 'live'" | tr -d ' \n')
[[ $orders == *'"n":'[4-9]* ]] || { echo "orders on record: $orders" >&2; exit 1; }

echo "== one whose coordinator is killed, and its database taken away"
(cd "$work" && PACE=0.3 exec "$program" --db killed.db run killed.toml > killed.log 2>&1) &
killed=$!
for _ in $(seq 300); do [[ -e $work/killed.log ]] && grep -q 'trial 0:' "$work/killed.log" && break; sleep 0.1; done
terminal gone 100x30
types gone "$program --db killed.db dash killed"
sees gone 'killed ▸ running' '▸'
kill -KILL "$killed"
wait "$killed" 2> /dev/null || true
sees gone '† lost' '`sweep resume killed`' '■'
sleep 8 # nothing moves, and what is said then is seen all the same
keys gone P
sees gone 'its coordinator is gone'
mv "$work/killed.db" "$work/aside.db"
sees gone 'killed.db is gone'
mv "$work/aside.db" "$work/killed.db"
lacks gone 'is gone'
(cd "$work" && PACE=0.1 exec "$program" --db killed.db resume killed > resumed.log 2>&1) &
resumed=$!
sees gone 'killed ▸ running'
keys gone q
whole gone
kill -INT "$resumed"

echo "== every screen, at every size"
for size in 100x30 60x20; do
  tmux resize-window -t wide -x "${size%x*}" -y "${size#*x}"
  for number in 1 2 3 4 5 6 7; do
    keys wide "$number"
    sees wide live
    case $number in
      1) sees wide '✓ finished' ;;
      2) sees wide 'learning_rate' ;;
      3) sees wide 'curves' 'folds' ;;
      4) sees wide 'b best so far' ;;
      5) sees wide 'overview' ;;
      6) sees wide 'trial' ;;
      7) sees wide 'slot' ;;
    esac
  done
done

echo "== left in every way, the terminal is whole"
keys wide C-z
sees wide 'Stopped'
types wide fg
sees wide 'slot'
keys wide q
whole wide
types wide "$program dash live"
sees wide 'live' 'learning_rate'
pkill -TERM -f "^$program dash live" 
whole wide
kill -INT "$live"
types wide "(cd '$root' && RUST_BACKTRACE=0 cargo test -q --lib -- --ignored --nocapture a_panic_gives_the_terminal_back); echo passed \$?"
sees wide 'passed 0' 'on purpose'
whole wide

echo "== run --watch: the sweep goes on without its dashboard"
terminal watch 100x30
types watch "PACE=0.1 $program run watched.toml --watch"
sees watch 'watched' 'learning_rate' '/12 trials'
keys watch C-z
sees watch 'q leaves it running here'
keys watch q
sees watch 'trials finished'
whole watch

echo "== ten dashboards beside a sweep: the same scores, never a locked database"
wait "$live" || true
(cd "$work" && PACE=0.05 exec "$program" --db crowd.db run quiet.toml "${alike[@]}" > crowd.log 2>&1) &
crowd=$!
for _ in $(seq 300); do [[ -e $work/crowd.db ]] && break; sleep 0.1; done
for number in $(seq 10); do
  terminal "d$number" 100x30
  types "d$number" "$program --db crowd.db dash"
done
for number in $(seq 10); do sees "d$number" 'quiet'; keys "d$number" Enter; sees "d$number" 'learning_rate'; done
wait "$crowd" || [[ $? == 3 ]]
for number in $(seq 10); do sees "d$number" '12/12'; done
for name in quiet crowd; do
  "$program" --db "$work/$name.db" --format json sql \
    "select trial, fold, score from runs where state = 'finished' order by trial, fold" > "$work/$name.json"
  grep -q score "$work/$name.json"
done
cmp "$work/quiet.json" "$work/crowd.json"
if grep -riE 'locked|busy' "$work"/*.log "$work/state"; then exit 1; fi
echo "the tour is done"
