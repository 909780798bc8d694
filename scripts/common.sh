# Shared by the scripts of this folder; sourced, never run.
#
# Sets `root`, the top of the tree, and goes there; `jobs`, how many compilers may run at once; `CXX`
# where the system's own g++ is too old.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# A compiler of this code takes up to about 1 GB.
jobs_that_fit() {
  local cores memory_gb
  cores=$(nproc 2>/dev/null || echo 2)
  memory_gb=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo 2>/dev/null || echo 2)
  if [ "${memory_gb:-0}" -lt 1 ]; then memory_gb=1; fi
  echo $((cores < memory_gb ? cores : memory_gb))
}
jobs=${MILLRACE_JOBS:-$(jobs_that_fit)}

choose_compiler() {
  if [ -n "${CXX:-}" ] || ! command -v g++-12 >/dev/null; then return 0; fi
  if [ "$(g++ -dumpversion 2>/dev/null | cut -d. -f1)" -lt 12 ] 2>/dev/null; then export CXX=g++-12; fi
}

# One line when all is well, everything when not.
quiet_unless_failed() {
  local output=$1
  shift
  if ! "$@" >"$output" 2>&1; then
    cat "$output" >&2
    return 1
  fi
}

# configure PRESET [-DNAME=VALUE...]
configure() {
  local preset=$1
  shift
  choose_compiler
  if command -v ccache >/dev/null; then set -- -DCMAKE_CXX_COMPILER_LAUNCHER=ccache "$@"; fi
  mkdir -p "build/$preset"
  quiet_unless_failed "build/$preset/configure.txt" cmake --preset "$preset" "$@"
  # For editors and clang-tidy; the last configured build wins.
  ln -sfn "build/$preset/compile_commands.json" compile_commands.json
}

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  if [ $# -gt 0 ]; then set -- --target "$@"; fi
  cmake --build "build/$preset" --parallel "$jobs" "$@"
}
