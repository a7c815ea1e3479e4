#!/bin/sh
# Says what this machine lacks for `make setup`. $1: the Python to use.
fail() { echo "$1" >&2; exit 1; }
"$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  fail "Python 3.11 or newer is needed; $1 is $("$1" --version 2>/dev/null || echo missing). Install it, or say which: make PYTHON=/path/to/python3.11"
"$1" -c 'import ensurepip, venv' 2>/dev/null ||
  fail "$1 cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"
node -e 'const [a, b] = process.versions.node.split(".").map(Number);
  process.exit((a === 20 && b >= 19) || (a === 22 && b >= 12) || a > 22 ? 0 : 1)' 2>/dev/null ||
  fail "Node 20.19 or 22.12 or newer is needed; this is $(node --version 2>/dev/null || echo missing). See nodejs.org"
command -v npm >/dev/null || fail "npm is needed; on Debian and Ubuntu: apt install npm"
