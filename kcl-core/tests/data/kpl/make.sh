#!/usr/bin/env bash
# Makes python.json and node.json anew. Needs Python 3 and Node with their package managers.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q install aws_kinesis_agg==1.2.3 six
"$work/venv/bin/python" "$here/make.py" >"$here/python.json"
cp "$here/make.js" "$work/"
(cd "$work" && npm init -y >/dev/null && npm install --silent aws-kinesis-agg@4.0.4 && node make.js) >"$here/node.json"
