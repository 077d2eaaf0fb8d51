#!/usr/bin/env bash
# What a landing must pass, as a person runs it: `tests/ci.sh quick`, or one step of it. `.ci/run` installs what the steps
# need and then runs `quick`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

steps_quick=(fmt lint doc test nostd firmware lab compare bench fuzz)
steps_long=(fmt lint doc test nostd firmware lab_long paper_long compare_long bench fuzz_long)

usage() {
  cat <<'END'
usage: tests/ci.sh quick | long | STEP...

  quick     all steps below, in about ten minutes on two cores
  long      the same with 1,000 seeds of chaos, the papers' claims at full size (up to 10,000 nodes), the trees' laws in larger
            clusters, ten minutes of churn at 1,000 nodes and 5 minutes of each fuzz target
  fmt       the sources are formatted
  lint      clippy has nothing to say
  doc       the documentation builds without a warning, private items included
  test      all tests, the committed fuzz corpora among them
  nostd     the core builds for a Cortex-M3
  firmware  the core runs on an emulated Cortex-M3, and leaves the same trace as on this machine
  lab       small experiments: no message missed, no healthy member accused, no violation
  compare   beside iroh-gossip and foca at 30 nodes: ours misses nothing, and sends the fewest bytes
  bench     instructions per frame, submission, delivery and copy: none over 3 % more than the committed baseline
  fuzz      20 seconds of each fuzz target
END
}

# The steps. Each fails by its exit status.

step_fmt() { cargo fmt --all --check; }

step_lint() {
  cargo clippy --workspace --all-targets --locked -- -D warnings
  # Once more as users build it: the fuzzer's feature, which the line above has on, makes more of the core public.
  cargo clippy -p gossip-core --locked -- -D warnings
}

step_doc() { RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --document-private-items --locked; }

step_test() {
  cargo test --locked
  # The fuzzer is no default member, and its own tests show that its laws bite.
  cargo test --locked -p gossip-fuzz --lib
}

step_nostd() { arm_cargo build --locked -p gossip-core --target "$arm"; }

step_firmware() {
  local board host
  # The last line of each side is `trace HASH`; the board says `ok` before it.
  board=$(cd tests/firmware && arm_cargo run --release --locked | tee >(cat >&2) | grep -Ex 'ok|trace [0-9a-f]{16}')
  host=$(cargo test --locked -p gossip-tests --test firmware_trace -- --nocapture | grep -Eo 'trace [0-9a-f]{16}')
  [ "$board" = "ok"$'\n'"$host" ] || { echo "the traces differ: board '$board', host '$host'"; return 1; }
  echo "board and host agree: $host"
}

step_lab() {
  lab broadcast --nodes 100 --loss 0.1 --bootstrap-loss 0.1
  lab detect --nodes 64 --crash 2 --slow 8 --loss 0.1
  lab heal --nodes 64 --for 20 --loss 0.1
  lab overlay --nodes 200 --messages 200
  lab burst --nodes 50 --messages 2000
  lab glomers --head-start 10 --partitions --runs 5
  lab chaos --seeds 30
}

step_lab_long() {
  GOSSIP_LONG=1 cargo test --release --locked -p gossip-tests --test paper_demers
  lab chaos --seeds 1000
}

step_paper_long() {
  GOSSIP_LONG=1 cargo test --release --locked -p gossip-tests --test paper_broadcast --test paper_detect \
    --test paper_heal --test paper_overlay --test paper_sampling --test churn --test tree_laws
}

step_compare() {
  # Optimized, as the program is: so the rivals are built once.
  cargo test --release --locked -p gossip-peers
  compare --nodes 30 --forged 20000
}

step_compare_long() {
  local nodes loss senders
  for nodes in 100 500; do
    for loss in 0 0.05 0.1; do
      for senders in one random; do
        compare --nodes "$nodes" --loss "$loss" --senders "$senders" --no-instructions --forged 0
      done
    done
  done
}

step_bench() { cargo bench --locked -p gossip-tests --bench core -- --check; }

step_fuzz() { fuzz_all 20; }

step_fuzz_long() { fuzz_all 300; }

# Helpers of the steps.

# One experiment. Its last line of output is one JSON object: a missed message, a false accusation or a violation fails the
# step, and so does a campaign that lacks one of the faults it is about.
lab() {
  local out
  echo "lab $*"
  out=$(cargo run --release --locked --quiet -p gossip-tests --bin lab -- "$@" --json | tail -n 1)
  echo "$out" | jq --compact-output .
  echo "$out" | jq --exit-status '
    if has("lost") then .lost == 0 elif .missed then .missed == 0 elif .false_positives then .false_positives == 0 else
      .violations == 0 and (.injected |
        [.lost, .duplicated, .reordered, .corrupted, .cut, .crash, .restart_kept, .restart_empty] | all(. > 0))
    end' >/dev/null || { echo "lab $*: failed"; return 1; }
}

# This library beside its rivals, in the same run: first in what is missed and in bytes.
compare() {
  local out
  echo "compare $*"
  out=$(cargo run --release --locked --quiet -p gossip-peers --bin compare -- "$@" --json | tail -n 1)
  echo "$out" | jq --compact-output 'del(.accounting)'
  echo "$out" | jq --exit-status '
    def first: . as $all | [.ours, .ours_sealed] | all(.missed == 0 and
      .bytes_per_delivery <= ([$all.iroh, $all.foca, $all.foca_eager] | map(.bytes_per_delivery) | min));
    first and (.designed | first)' >/dev/null || { echo "compare $*: failed"; return 1; }
}

# New inputs go to a folder of their own, so that a run does not change the tree.
# Without the address sanitizer: the core forbids unsafe code, and is fifteen times faster so.
fuzz_all() {
  local seconds=$1 target found
  for target in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$target" .rs)
    found=$(mktemp -d)
    cargo +nightly fuzz run --sanitizer none "$target" "$found" "fuzz/corpus/$target" -- \
      -max_total_time="$seconds" -timeout=10 -max_len=4096 -print_final_stats=1
    rm -r "$found"
  done
}

# Cargo for the Cortex-M3. An ordinary rustup target is taken where there is one. Else Debian's compiler, which comes with
# the sources of `core` and `alloc`, builds these on the way (an option of nightly, hence the switch).
arm=thumbv7m-none-eabi
arm_cargo() {
  if rustup target list --installed 2>/dev/null | grep -qx "$arm"; then
    cargo "$@"
  else
    PATH=/usr/bin:/bin RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=core,alloc \
      CARGO_TARGET_THUMBV7M_NONE_EABI_LINKER=arm-none-eabi-ld cargo "$@"
  fi
}

run() {
  local name start
  for name in "$@"; do
    start=$SECONDS
    echo "=== $name"
    "step_$name"
    echo "=== $name: $((SECONDS - start)) s"
  done
}

case "${1:-}" in
  quick) run "${steps_quick[@]}" ;;
  long) run "${steps_long[@]}" ;;
  "" | -h | --help) usage ;;
  *)
    for name in "$@"; do
      declare -F "step_$name" >/dev/null || { echo "no step '$name'"; usage; exit 2; }
    done
    run "$@"
    ;;
esac
