#!/usr/bin/env bash
# Builds sluice and runs its tests.
#
#   sudo ./tests/run.sh [KIND...]
#
# Kinds: unit scenarios property models e2e guest fuzz package sanitize
# bench (default: all).
# Installs missing Debian packages, cleans up after itself, and ends with one
# line "N passed, N failed". The exit status is 0 only if nothing failed.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$top/configs/lib.sh"

all_kinds="unit scenarios property models e2e guest fuzz package sanitize bench"
kinds=()
for kind in "$@"; do
  case " $all_kinds " in
    *" $kind "*) kinds+=("$kind") ;;
    *) die "unknown kind: $kind (kinds: $all_kinds)" ;;
  esac
done
[ ${#kinds[@]} -gt 0 ] || read -ra kinds <<<"$all_kinds"
wanted() { case " ${kinds[*]} " in *" $1 "*) true ;; *) false ;; esac }

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
early=  # the process of build_early
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
  for process in $child $early; do
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

# build DIR NAME [TARGET...]: the log is shown only when it fails.
build() {
  local dir=$1 name=$2
  shift 2
  say "  building $name ..."
  local started=$SECONDS
  if run ninja -C "$dir" -j "$jobs" "$@" >"$dir/build.log" 2>&1; then
    say "  built $name in $((SECONDS - started)) s"
  else
    grep -vE '^\[[0-9]+/[0-9]+\] (Compiling|Linking|Generating)' \
      "$dir/build.log" | tail -n 60
    return 1
  fi
}

# Each build is done once, and its failure is one failed case.
release_state=
build_release() {
  [ "$release_state" != good ] || return 0
  [ "$release_state" != bad ] || return 1
  release_state=bad
  CC=$(with_ccache gcc) CXX=$(with_ccache g++) \
    configure_build "$release" --buildtype=release -Dwerror=true \
    -Dtests=true -Dbenchmarks=true -Dfuzzers=false \
    --prefix=/usr --sysconfdir=/etc &&
    build "$release" "release (g++)" &&
    release_state=good && pass build release && return 0
  fail build "release build (g++)"
  return 1
}

asan_state=
build_asan() {
  [ "$asan_state" != good ] || return 0
  [ "$asan_state" != bad ] || return 1
  asan_state=bad
  end_early
  CC=$(with_ccache clang) CXX=$(with_ccache clang++) \
    configure_build "$asan" --buildtype=debugoptimized -Dwerror=true \
    -Db_sanitize=address,undefined -Db_lundef=false \
    -Dtests=true -Dbenchmarks=false -Dfuzzers=true &&
    build "$asan" "with address and undefined sanitizers (clang)" &&
    asan_state=good && pass build asan && return 0
  fail build "build with address and undefined sanitizers (clang)"
  return 1
}

tsan_state=
build_tsan() {
  local targets
  tsan_state=bad
  CC=$(with_ccache clang) CXX=$(with_ccache clang++) \
    configure_build "$tsan" --buildtype=debugoptimized -Dwerror=true \
    -Db_sanitize=thread -Db_lundef=false \
    -Dtests=true -Dbenchmarks=false -Dfuzzers=false || {
    fail build "configuring with the thread sanitizer (clang)"
    return 1
  }
  targets=$($python "$top/tests/tools/run_programs.py" --build-dir "$tsan" \
    --kind threads --suite threads --list-targets)
  # shellcheck disable=SC2086  # one word a target
  if [ -z "$targets" ]; then
    tsan_state=empty
  elif build "$tsan" "with the thread sanitizer (clang)" $targets; then
    tsan_state=good && pass build tsan
  else
    fail build "build with the thread sanitizer (clang)"
    return 1
  fi
}

# Tests on live traffic wait more than they compute: what is built for later
# kinds is built beside them, at the lowest priority. Errors are left to the
# builds themselves, which have little to do then.
build_early() {
  wanted fuzz || wanted sanitize || return 0
  [ -z "$asan_state$early" ] || return 0
  (
    trap '[ -z "$child" ] || kill -TERM "$child"; exit 143' TERM
    renice -n 19 -p "$BASHPID" >/dev/null
    results=/dev/null
    build_asan
    ! wanted sanitize || build_tsan
  ) >"$scratch/early.log" 2>&1 &
  early=$!
}
end_early() {
  [ -n "$early" ] || return 0
  wait "$early"
  early=
}

# Sanitizers keep shadow memory at fixed places, which random layouts with
# many bits (newer kernels' default) may occupy.
fixed_layout=
if setarch -R true 2>/dev/null; then fixed_layout="setarch -R"; fi

programs() { run $python "$top/tests/tools/run_programs.py" \
  --results "$results" "$@"; }

# --- kinds ------------------------------------------------------------------

kind_unit() {
  build_release && programs --build-dir "$release" --kind unit
}
kind_scenarios() {
  build_release && programs --build-dir "$release" --kind scenarios
}
kind_property() {
  build_release && programs --build-dir "$release" --kind property
}

kind_fuzz() {
  build_asan || return
  run $python "$top/tests/tools/run_fuzzers.py" --build-dir "$asan" \
    --corpus "$top/tests/fuzz/corpus" --seconds 20 --results "$results"
}

kind_models() {
  run $python "$top/tests/tools/run_models.py" "$top/tests/models" \
    --results "$results"
}

# run_pytest KIND WHAT [OPTION...]: tests on live traffic below a folder.
run_pytest() {
  local kind=$1 what=$2
  shift 2
  build_release || return
  if [ "$(id -u)" -ne 0 ]; then
    fail "$kind" "these tests make network namespaces and need root"
    return
  fi
  SLUICE_BUILD_DIR=$release run $python -m pytest -p no:cacheprovider -q \
    --junit-xml "$scratch/$kind.xml" "$@" "$what"
  local status=$?
  $python "$top/tests/tools/count_junit.py" "$scratch/$kind.xml" "$kind" \
    >>"$results" || fail "$kind" "pytest ended with status $status, no report"
}

kind_e2e() {
  build_release && build_early
  run_pytest e2e "$top/tests/e2e" --ignore "$top/tests/e2e/vfio"
}
kind_guest() {
  run_pytest guest "$top/tests/e2e/vfio"
}

kind_package() {
  build_release || return
  if [ "$(id -u)" -ne 0 ]; then
    fail package "a clean system is made and entered by root"
    return
  fi
  SLUICE_BUILD_DIR=$release run $python -m pytest -p no:cacheprovider -q \
    --junit-xml "$scratch/package.xml" "$top/tests/package"
  local status=$?
  $python "$top/tests/tools/count_junit.py" "$scratch/package.xml" package \
    >>"$results" || fail package "pytest ended with status $status, no report"
}

kind_sanitize() {
  if build_asan; then
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    export ASAN_OPTIONS=detect_stack_use_after_return=1
    export LSAN_OPTIONS=suppressions=$top/tests/lsan.supp:print_suppressions=0
    programs --build-dir "$asan" --kind unit --label sanitize \
      --wrapper "$fixed_layout" --timeout 900
    programs --build-dir "$asan" --kind scenarios --label sanitize \
      --wrapper "$fixed_layout" --timeout 900
    programs --build-dir "$asan" --kind property --suite memory \
      --label sanitize --wrapper "$fixed_layout" --timeout 900
    unset ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS
  fi
  build_tsan || return
  export TSAN_OPTIONS=halt_on_error=1:suppressions=$top/tests/tsan.supp
  programs --build-dir "$tsan" --kind threads --suite threads \
    --label sanitize --wrapper "$fixed_layout" --timeout 900
  unset TSAN_OPTIONS
  [ "$tsan_state" = good ] ||
    fail sanitize "no test belongs to the meson suite 'threads'"
}

kind_bench() {
  build_release || return
  run $python "$top/tests/tools/run_benchmarks.py" --build-dir "$release" \
    --results "$results"
  [ "$(id -u)" -eq 0 ] || return
  local status script
  for script in throughput transfer; do
    status=0
    run $python "$top/tests/bench/$script" --quick \
      --sluiced "$release/sluiced" --results "$results" || status=$?
    [ $status -eq 0 ] || fail bench "$script ended with status $status"
  done
}

# --- the run ----------------------------------------------------------------

started=$SECONDS
groups=(build test)
if wanted e2e || wanted guest; then groups+=(demo); fi
! wanted guest || groups+=(guest)
! wanted package || groups+=(package)
install_packages "${groups[@]}"

for kind in "${kinds[@]}"; do
  say "== $kind"
  kind_started=$SECONDS
  "kind_$kind"
  if [ "$(count pass "$kind")" -eq 0 ] && [ "$(count fail "$kind")" -eq 0 ]; then
    # Models are optional; every other kind has something to run.
    [ "$kind" = models ] && [ -z "$(ls "$top"/tests/models/*.pml 2>/dev/null)" ] ||
      fail "$kind" "$kind: nothing ran"
  fi
  printf '%s\t%s\n' "$kind" "$((SECONDS - kind_started))" >>"$times"
done

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
