#!/usr/bin/env bash
# Everything that waits for a GPU, most wanted first, into one folder and within a time budget.
set -uo pipefail

usage() {
  cat <<'TEXT'
usage: tools/measure_gpu.sh OUT [--minutes N] [--peer NAME[=PATH]]... [--table FILE]
                            [--skip PART]... [--quick]

Runs these parts, each once, and keeps all that they write in OUT:

  bf16-CASE          facecond benchmark CASE in bfloat16; forward-* come first: they check it
                     against float32
  fp32-CASE          the same in float32, and the cases that have one number format
  bf16-compile-CASE  the same in bfloat16 through torch.compile
  render, judge-attributes, judge-parser, train, evaluate
                     rendered_128: trained as long as there is time, scored with the full protocol

  --minutes N        budget (120): up to half of it for the benchmark, what is left for rendered_128
  --peer ...         as in facecond benchmark
  --table FILE       table to add to (OUT/benchmarks.md)
  --skip PART        leave a part out; a pattern such as 'fp32-*' leaves out several
  --quick            tiny sizes, on any device, into OUT/quick: does it run?

The same command goes on with what is missing. A part that fails is told at the end, and loses no
other one. PYTHON names the interpreter (python3).
TEXT
}

fault() {
  echo "measure_gpu: error: $1" >&2
  exit 2
}

out="" minutes=120 table="" quick="" skipped=() peers=()
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --quick) quick=1; shift ;;
    --minutes | --peer | --table | --skip)
      [[ $# -ge 2 ]] || fault "$1: needs a value."
      case $1 in
        --minutes) minutes=$2 ;;
        --peer) peers+=(--peer "$2") ;;
        --table) table=$2 ;;
        --skip) skipped+=("$2") ;;
      esac
      shift 2 ;;
    -*) fault "$1: unknown option. See --help." ;;
    *) [[ -z $out ]] || fault "$1: one folder only."; out=$1; shift ;;
  esac
done
[[ -n $out ]] || fault "no folder is named. See --help."
[[ $minutes =~ ^[1-9][0-9]{0,4}$ ]] || fault "--minutes $minutes: give a whole number from 1 up."

python=${PYTHON:-python3}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
[[ -z $quick ]] || out+=/quick # a tiny part that is done must not count as a whole one
mkdir -p "$out/logs" "$out/done" || fault "$out: cannot be written. Choose another folder."
if [[ -z $quick ]]; then
  "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' ||
    fault "there is no CUDA GPU here. --quick runs everything at tiny size."
fi
{
  date -u +%FT%TZ
  git -C "$root" describe --always --dirty
  command -v nvidia-smi >/dev/null && nvidia-smi
} >>"$out/machine.txt" 2>&1

end=$((minutes * 60)) # on the clock of SECONDS, which began with this script
failed=0

told() { # told PART WORDS: a line for people, and for the record
  printf '%-28s %s\n' "$1" "$2" | tee -a "$out/parts.txt"
}

is_skipped() { # is_skipped PART
  local pattern
  for pattern in "${skipped[@]}"; do
    # shellcheck disable=SC2053  # a pattern is meant
    if [[ $1 == $pattern ]]; then return 0; fi
  done
  return 1
}

part() { # part NAME UNTIL COMMAND...: once, and not beyond that second
  local name=$1 until=$2 began=$SECONDS code reason
  shift 2
  if is_skipped "$name"; then return; fi
  if [[ -e $out/done/$name ]]; then
    told "$name" "done before"
    return
  fi
  if ((until - SECONDS < 5)); then
    told "$name" "no time left"
    failed=1
    return
  fi
  # A training that is told to end saves its state first.
  timeout --kill-after=60 $((until - SECONDS)) "$@" >"$out/logs/$name.log" 2>&1
  code=$?
  if ((code == 0)); then
    touch "$out/done/$name"
    told "$name" "done in $((SECONDS - began)) s"
    return
  fi
  failed=1
  if ((code == 124)); then
    told "$name" "stopped after $((SECONDS - began)) s: no time left"
  else
    reason=$(grep -aE 'error|not measured' "$out/logs/$name.log" || tail -n 1 "$out/logs/$name.log")
    told "$name" "FAILED with $code: ${reason##*$'\n'}"
  fi
}

facecond=("$python" -m facecond)

benchmarks() { # benchmarks NAME OPTIONS CASE...: each case is a part, so that one loses no other
  local name=$1 options=$2 one
  shift 2
  for one in "$@"; do
    # shellcheck disable=SC2086  # several words are meant
    part "$name-$one" $((end / 2)) "${facecond[@]}" benchmark "$one" $options ${quick:+--quick} \
      "${peers[@]}" --out "$out/benchmarks/$name" --table "${table:-$out/benchmarks.md}"
  done
}

listed=$("$python" -c 'from facecond.benchmarks.cases import chosen; print(*chosen([]))') ||
  fault "$python cannot import facecond. Set PYTHON to the interpreter that can."
read -ra all <<<"$listed"
both=(forward-64 forward-256 train-256 sample-256 train-64 sample-64)
others=()
for one in "${all[@]}"; do
  [[ " ${both[*]} " == *" $one "* ]] || others+=("$one")
done
benchmarks bf16 "--precision bf16" "${both[@]}" first-stage
benchmarks fp32 "" "${both[@]}"
benchmarks bf16-compile "--precision bf16 --compile" "${both[@]}"
benchmarks fp32 "" "${others[@]}"

count=20000 size=128 scored=() judged=(judge.steps=2000) reserve=$((end / 10))
if [[ -n $quick ]]; then
  count=80 size=64 scored=(--n 4) judged=(judge.steps=2)
fi
data="$out/data" judges="$out/judges" run="$out/rendered_128"
part render "$end" "${facecond[@]}" data render --out "$data" --count "$count" --size "$size"
for kind in attributes parser; do
  part "judge-$kind" "$end" "${facecond[@]}" train judge "$kind" "judge_${kind}_64" \
    --out "$judges/$kind" --set "data.root=$data" "${judged[@]}"
done
until=$((end - reserve / 2))
if [[ -z $quick ]]; then
  # The length is part of a run: another call goes on with that of the first.
  left=$(((end - reserve - SECONDS) / 60)) length=$out/minutes.txt
  [[ -e $length ]] || ((left > 0)) || until=0
  [[ -e $length ]] || ((until == 0)) || is_skipped train || echo "$left" >"$length"
  options=(train.minutes="$(cat "$length" 2>/dev/null)")
else
  options=(train.minutes=0 train.steps=2 "denoiser.block_out_channels=[16,32]"
    denoiser.attention_head_dim=16 denoiser.norm_num_groups=8)
fi
part train "$until" "${facecond[@]}" train rendered_128 --out "$run" \
  --set "data.root=$data" "${options[@]}"
part evaluate "$end" "${facecond[@]}" evaluate "$run/model" --data "$data" --judges "$judges" \
  --protocol full "${scored[@]}" --out "$out/evaluation"

told all "$(((SECONDS + 59) / 60)) minutes; what was done lies in $out"
exit "$failed"
