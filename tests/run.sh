#!/usr/bin/env bash
# Builds sluice and runs its tests.
#
#   sudo ./tests/run.sh [KIND...]
#
# Kinds: unit scenarios property models e2e guest fuzz package sanitize
# bench (default: all of these), browser, which installs Chromium, and long,
# which takes half a day and has browser in it.
# Kinds that mostly wait and kinds that compute run beside each other.
# Installs missing Debian packages, cleans up after itself, and ends with one
# line "N passed, N failed". The exit status is 0 only if nothing failed.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$top/configs/lib.sh"

all_kinds="unit scenarios property models e2e guest fuzz package sanitize bench"
kinds=()
for kind in "$@"; do
  case " $all_kinds browser long " in
    *" $kind "*) kinds+=("$kind") ;;
    *) die "unknown kind: $kind (kinds: $all_kinds browser long)" ;;
  esac
done
[ ${#kinds[@]} -gt 0 ] || read -ra kinds <<<"$all_kinds"
wanted() { case " ${kinds[*]} " in *" $1 "*) true ;; *) false ;; esac }
# only KIND...: those of them that are wanted, in this order.
only() {
  local kind
  for kind in "$@"; do
    ! wanted "$kind" || printf '%s\n' "$kind"
  done
}

release=$top/build
asan=$top/build-asan
tsan=$top/build-tsan
python=/usr/bin/python3
jobs=$(nproc)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sluice-tests.XXXXXX")
results=$scratch/results
times=$scratch/times
: >"$results"
: >"$times"
# Namespaces that the tests make begin with this, so that what an interrupted
# test leaves behind can be told from everybody else's.
export SLUICE_TEST_PREFIX=slt$$
# The tests write no bytecode into the tree.
export PYTHONDONTWRITEBYTECODE=1

# --- ending -----------------------------------------------------------------

child=
beside=   # the process of the kinds that compute beside others
burners=  # processes that keep processors busy
# run COMMAND...: runs it so that a signal to this script reaches it.
run() {
  "$@" &
  child=$!
  local status=0
  wait "$child" || status=$?
  child=
  return "$status"
}

clean_up() {
  trap - EXIT INT TERM HUP
  local process
  for process in $child $beside $burners; do
    kill -TERM "$process" 2>/dev/null
    wait "$process" 2>/dev/null
  done
  local namespace
  for namespace in $(ip netns list 2>/dev/null |
    awk -v p="$SLUICE_TEST_PREFIX" 'index($1, p) == 1 { print $1 }'); do
    for process in $(ip netns pids "$namespace" 2>/dev/null); do
      kill -KILL "$process" 2>/dev/null
    done
    ip netns delete "$namespace"
  done
  rm -rf "$scratch"
}
trap clean_up EXIT
trap 'clean_up; exit 130' INT
trap 'clean_up; exit 143' TERM HUP

# --- results ----------------------------------------------------------------

pass() { printf 'pass\t%s\t%s\n' "$1" "$2" >>"$results"; }
fail() {
  printf 'fail\t%s\t%s\n' "$1" "$2" >>"$results"
  say "  FAILED $2"
}
# count RESULT KIND: how many cases of a kind (or of all, "") had the result.
count() {
  awk -F'\t' -v r="$1" -v k="$2" \
    '$1 == r && (k == "" || $2 == k) { n++ } END { print n + 0 }' "$results"
}

# --- building ---------------------------------------------------------------

# A flavour is a build directory; what a kind needs is built in it when the
# kind runs, each object once. What is built with sanitizers has no more debug
# information than reports need, and more files are compiled together: nobody
# builds it again for the sake of one.
sanitizers="--buildtype=debugoptimized -Doptimization=1 -Db_ndebug=false
  -Dcpp_args=-gline-tables-only -Db_lundef=false -Dunity_size=16
  -Dbenchmarks=false"

# configure FLAVOUR
configure() {
  # shellcheck disable=SC2086  # one word an option
  case $1 in
    release)
      CC=$(with_ccache gcc) CXX=$(with_ccache g++) \
        configure_build "$release" --buildtype=release -Dwerror=true \
        -Dtests=true -Dbenchmarks=true -Dfuzzers=false \
        --prefix=/usr --sysconfdir=/etc ;;
    asan)
      CC=$(with_ccache clang) CXX=$(with_ccache clang++) \
        configure_build "$asan" -Dwerror=true $sanitizers \
        -Db_sanitize=address,undefined -Dtests=true -Dfuzzers=true ;;
    tsan)
      CC=$(with_ccache clang) CXX=$(with_ccache clang++) \
        configure_build "$tsan" -Dwerror=true $sanitizers \
        -Db_sanitize=thread -Dtests=true -Dfuzzers=false ;;
  esac
}

# targets FLAVOUR WHAT: the ninja targets of what a kind runs.
targets() {
  local tools=$top/tests/tools dir=${!1} what
  case $2 in
    # With the pages that are made, which an installation has.
    programs) printf '%s\n' sluiced sluicectl sluice-replay \
      docs/sluice-pf.conf.5 docs/sluice-test.5 docs/sluice-drops.7 ;;
    # The replay is compared with a model that is a program.
    e2e) printf '%s\n' tests/property/verdict_oracle \
      tests/unit/restore/make_snapshots ;;
    fuzz) $python "$tools/run_fuzzers.py" --build-dir "$dir" --list-targets ;;
    bench)
      $python "$tools/run_benchmarks.py" --build-dir "$dir" --list-targets ;;
    # Several at once: a build of few targets leaves processors idle.
    checks) for what in unit scenarios property; do targets "$1" $what; done ;;
    sanitize) for what in unit scenarios memory; do targets "$1" $what; done ;;
    threads | memory)
      $python "$tools/run_programs.py" --build-dir "$dir" --kind "$2" \
        --suite "$2" --list-targets ;;
    *)
      $python "$tools/run_programs.py" --build-dir "$dir" --kind "$2" \
        --list-targets ;;
  esac
}

# build FLAVOUR WHAT: each is done once; it is a case of its own, and the log
# is shown only when it fails.
declare -A done_already
build() {
  local flavour=$1 what=$2 dir=${!1} wanted_targets began=$SECONDS
  local name="$flavour: $what"
  [ "${done_already[$name]-}" != good ] || return 0
  [ "${done_already[$name]-}" != bad ] || return 1
  done_already[$name]=bad
  if [ -z "${done_already[$flavour]-}" ]; then
    done_already[$flavour]=bad
    configure "$flavour" && done_already[$flavour]=good
  fi
  if [ "${done_already[$flavour]}" = bad ]; then
    fail build "configuring for $name"
    return 1
  fi
  wanted_targets=$(targets "$flavour" "$what")
  if [ -z "$wanted_targets" ]; then
    fail build "$name: there is nothing to build"
    return 1
  fi
  # shellcheck disable=SC2086  # one word a target
  if run ninja -C "$dir" -j "$jobs" $wanted_targets >"$dir/build.log" 2>&1; then
    say "  built $name in $((SECONDS - began)) s"
    pass build "$name"
    done_already[$name]=good
  else
    grep -vE '^\[[0-9]+/[0-9]+\] (Compiling|Linking|Generating)' \
      "$dir/build.log" | tail -n 60
    fail build "$name"
    return 1
  fi
}

# Sanitizers keep shadow memory at fixed places, which random layouts with
# many bits (newer kernels' default) may occupy.
fixed_layout=
if setarch -R true 2>/dev/null; then fixed_layout="setarch -R"; fi

programs() { run $python "$top/tests/tools/run_programs.py" \
  --results "$results" "$@"; }

# --- kinds ------------------------------------------------------------------

kind_unit() {
  build release unit && programs --build-dir "$release" --kind unit
}
kind_scenarios() {
  build release scenarios && programs --build-dir "$release" --kind scenarios
}
kind_property() {
  build release property && programs --build-dir "$release" --kind property
}

# fuzzers SECONDS [OPTION...]
fuzzers() {
  local seconds=$1
  shift
  build asan fuzz || return
  run $python "$top/tests/tools/run_fuzzers.py" --build-dir "$asan" \
    --corpus "$top/tests/fuzz/corpus" --seconds "$seconds" \
    --results "$results" "$@"
}
kind_fuzz() { fuzzers 10; }

kind_models() {
  run $python "$top/tests/tools/run_models.py" "$top/tests/models" \
    --results "$results" --scratch "$scratch"
}

# run_pytest KIND FOLDER NUMBER: the test files of a folder, so many at a time.
run_pytest() {
  local kind=$1 folder=$2 at_once=$3
  build release programs || return
  if [ "$(id -u)" -ne 0 ]; then
    fail "$kind" "these tests make namespaces and clean systems: run as root"
    return
  fi
  run $python "$top/tests/tools/run_pytest.py" --build-dir "$release" \
    --kind "$kind" --results "$results" --scratch "$scratch" \
    --jobs "$at_once" "$folder"
}
# Tests on live traffic mostly wait: more at a time than processors.
kind_e2e() {
  build release programs && build release e2e &&
    run_pytest e2e "$top/tests/e2e" $((jobs < 2 ? 2 : jobs > 4 ? 5 : jobs + 1))
}
kind_guest() { run_pytest guest "$top/tests/e2e/vfio" 1; }
kind_browser() { run_pytest browser "$top/tests/e2e/browser" 1; }
kind_package() { run_pytest package "$top/tests/package" 1; }

kind_sanitize() {
  local kind
  if build asan sanitize; then
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    export ASAN_OPTIONS=detect_stack_use_after_return=1
    export LSAN_OPTIONS=suppressions=$top/tests/lsan.supp:print_suppressions=0
    for kind in unit scenarios; do
      programs --build-dir "$asan" --kind $kind --label sanitize \
        --wrapper "$fixed_layout" --timeout 900
    done
    programs --build-dir "$asan" --kind property --suite memory \
      --label sanitize --wrapper "$fixed_layout" --timeout 900
    unset ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS
  fi
  build tsan threads || return
  export TSAN_OPTIONS=halt_on_error=1:suppressions=$top/tests/tsan.supp
  programs --build-dir "$tsan" --kind threads --suite threads \
    --label sanitize --wrapper "$fixed_layout" --timeout 900
  unset TSAN_OPTIONS
}

# The programs only have to work, as briefly as they run: among the kinds that
# compute, if there are any.
benchmarks_ran=
bench_programs() {
  build release bench || return
  run $python "$top/tests/tools/run_benchmarks.py" --build-dir "$release" \
    --results "$results"
}
kind_bench() {
  [ -n "$benchmarks_ran" ] || bench_programs
  [ "$(id -u)" -eq 0 ] && build release programs || return
  local status script
  for script in throughput transfer watching; do
    status=0
    run $python "$top/tests/bench/$script" --quick \
      --sluiced "$release/sluiced" --results "$results" || status=$?
    [ $status -eq 0 ] || fail bench "$script ended with status $status"
  done
}

# campaign NAME PROGRAM VARIABLE=VALUE: a property test, many times as long.
campaign() {
  local log=$scratch/campaign.log
  if run env "$3" nice "$release/tests/property/$2" >"$log" 2>&1; then
    pass long "$1"
  else
    fail long "$1"
    tail -n 40 "$log"
  fi
}

# What the other kinds do, for longer: what fails now and then fails here. The
# last two of ten rounds have to share the processors with busy loops.
long_rounds=10
kind_long() {
  local round kind all=$results _
  build release unit && run $python "$top/tests/tools/check_headers.py" \
    --build-dir "$release" --results "$results"
  run $python "$top/tests/e2e/slow_machine.py" --build-dir "$release" \
    --results "$results"
  fuzzers 300 --kind long
  build release unit && SLUICE_LONG=1 programs --build-dir "$release" \
    --kind unit --suite full-table --label long --timeout 1800
  if build release programs && build release e2e; then
    SLUICE_LONG=1 run $python "$top/tests/tools/run_pytest.py" \
      --build-dir "$release" --kind long --results "$results" \
      --scratch "$scratch" --jobs 1 --timeout 7200 \
      --only test_responsive.py --only test_tftp_boot.py \
      --only test_router_table.py "$top/tests/e2e"
  fi
  wanted browser || run_pytest long "$top/tests/e2e/browser" 1
  if build release property; then
    campaign "1e6 operations x 20 seeds on policies and tables" \
      property_policy_store SLUICE_PROPERTY_STEPS=1000000
    campaign "1e9 packets by the classifier and by the interpreter" \
      property_classify SLUICE_PROPERTY_FACTOR=650
  fi
  for ((round = 1; round <= long_rounds; round++)); do
    if [ $round -eq $((long_rounds - 1)) ]; then
      for _ in $(seq "$jobs"); do
        while :; do :; done &
        burners+=" $!"
      done
    fi
    results=$scratch/round
    : >"$results"
    for kind in unit scenarios property e2e sanitize; do
      say "-- round $round: $kind${burners:+, processors busy}"
      "kind_$kind"
    done
    results=$all
    awk -F'\t' -v r="$round" \
      '{ print $1 "\tlong\tround " r ": " $2 ": " $3 }' "$scratch/round" \
      >>"$results"
  done
  local process
  for process in $burners; do
    kill "$process"
    wait "$process"
  done 2>/dev/null
  burners=
}

# --- the run ----------------------------------------------------------------

# run_kind KIND
run_kind() {
  local kind=$1 began=$SECONDS
  say "== $kind"
  "kind_$kind"
  if [ "$(count pass "$kind")" -eq 0 ] && [ "$(count fail "$kind")" -eq 0 ]; then
    # Models are optional; every other kind has something to run.
    [ "$kind" = models ] && [ -z "$(ls "$top"/tests/models/*.pml 2>/dev/null)" ] ||
      fail "$kind" "$kind: nothing ran"
  fi
  printf '%s\t%s\n' "$kind" "$((SECONDS - began))" >>"$times"
}

started=$SECONDS
groups=(build test)
if wanted e2e || wanted guest || wanted browser || wanted long; then
  groups+=(demo)
fi
if wanted browser || wanted long; then groups+=(browser); fi
! wanted guest || groups+=(guest)
! wanted package || groups+=(package)
install_packages "${groups[@]}"
if wanted e2e || wanted long; then unpack_packages "$release/unpacked"; fi

# Kinds of two sorts run beside each other: those that mostly wait, and, with
# less priority, those that compute; what the latter say is shown when each
# of them is done. The programs are built before: nothing is built twice, or in
# one directory by two. The scripts of bench have the machine for themselves.
waiting=$(only e2e guest browser package)
computing=$(only unit scenarios property fuzz models sanitize)
if [ -n "$waiting" ] && [ -n "$computing" ]; then
  build release programs
  ! wanted e2e || build release e2e
  (
    trap '[ -z "$child" ] || { kill -TERM "$child"; wait "$child"; }; exit 143' \
      TERM
    # Not the lowest: what has a time limit has to get on.
    renice -n 10 -p "$BASHPID" >/dev/null
    ! { wanted unit && wanted scenarios && wanted property; } ||
      build release checks
    for kind in $computing; do
      run_kind "$kind" >"$scratch/$kind.log" 2>&1
      cat "$scratch/$kind.log"
    done
    if wanted bench; then
      say "== bench, the programs"
      bench_programs
    fi
  ) &
  beside=$!
  computing=
  benchmarks_ran=yes
fi
for kind in $computing $waiting; do run_kind "$kind"; done
[ -z "$beside" ] || wait "$beside"
beside=
for kind in $(only bench long); do run_kind "$kind"; done

say
say "kind        passed  failed  seconds"
for kind in "${kinds[@]}" build; do
  seconds=$(awk -F'\t' -v k="$kind" '$1 == k { print $2 }' "$times")
  printf '%-10s %7d %7d %8s\n' "$kind" "$(count pass "$kind")" \
    "$(count fail "$kind")" "${seconds:--}"
done
failed=$(count fail "")
if [ "$failed" -gt 0 ]; then
  say
  say "failed:"
  awk -F'\t' '$1 == "fail" { print "  " $2 ": " $3 }' "$results"
fi
say
say "took $((SECONDS - started)) s"
say "$(count pass "") passed, $failed failed"
[ "$failed" -eq 0 ]
