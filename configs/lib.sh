# Shell functions shared by configs/quickstart.sh and tests/run.sh (bash).
# The caller has set $top to the top of the source tree.

say() { printf '%s\n' "$*"; }
die() {
  printf '%s\n' "$*" >&2
  exit 1
}

# list_packages GROUP...: the packages of configs/packages.txt that belong to
# any of the groups, one a line.
list_packages() {
  local group
  for group in "$@"; do
    awk -v group="$group" '$1 == group { print $2 }' \
      "$top/configs/packages.txt"
  done
}

# install_packages GROUP...: installs what is missing of the groups, and asks
# the network for nothing when nothing is missing.
install_packages() {
  local package missing=()
  for package in $(list_packages "$@"); do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
      grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing: ${missing[*]}"
  [ "$(id -u)" -eq 0 ] ||
    die "these packages are missing; run this as root: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # Daemons that come with a package are not to start by themselves: a file
  # server or a switch that nobody asked for would be a surprise.
  local policy=/usr/sbin/policy-rc.d made_policy=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
    made_policy=1
  fi
  local status=0
  { apt-get update -qq &&
    apt-get install -y -qq --no-install-recommends "${missing[@]}" \
      >/dev/null; } || status=$?
  [ -z "$made_policy" ] || rm -f "$policy"
  [ "$status" -eq 0 ] || die "apt-get could not install: ${missing[*]}"
}

# unpack_packages DIR: the files of the group "unpacked", below DIR.
unpack_packages() {
  local dir=$1 package
  mkdir -p "$dir"
  for package in $(list_packages unpacked); do
    [ ! -e "$dir/$package.unpacked" ] || continue
    say "unpacking: $package"
    (cd "$dir" && apt-get download -qq "$package" 2>/dev/null &&
      dpkg -x "$package"_*.deb . && rm -f "$package"_*.deb) ||
      die "apt-get could not download $package"
    : >"$dir/$package.unpacked"
  done
}

# configure_build DIR [MESON OPTION...]: makes the build directory, or brings
# an existing one to the same options. $CC and $CXX name the compilers.
configure_build() {
  local dir=$1
  shift
  if [ -f "$dir/build.ninja" ]; then
    meson setup --reconfigure "$@" "$dir" "$top" >"$dir/configure.log" 2>&1 ||
      { tail -n 30 "$dir/configure.log" >&2; return 1; }
  else
    mkdir -p "$dir"
    meson setup "$@" "$dir" "$top" >"$dir/configure.log" 2>&1 ||
      { tail -n 30 "$dir/configure.log" >&2; return 1; }
  fi
}

# with_ccache COMPILER: the compiler's command, through ccache if it is there.
with_ccache() {
  if command -v ccache >/dev/null; then
    printf 'ccache %s' "$1"
  else
    printf '%s' "$1"
  fi
}
