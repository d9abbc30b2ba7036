#!/usr/bin/env bash
# The whole training framework of the paper (SFTA, section 3.2) and its tables, on tiny random networks: every
# stage and every file as in a real run, in under four minutes on two processor cores. Nothing is downloaded.
#
#     examples/sfta/sfta_cpu.sh              # works in a temporary folder
#     examples/sfta/sfta_cpu.sh sfta-work    # keeps everything in this folder; run again, it goes on
#
# Needs a clone and the extras: pip install -e ".[train,images]". The scores and tables mean nothing, because
# the networks are random; see README.md for the real data and networks.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [ $# -gt 0 ]; then
    mkdir -p "$1"
    work=$(cd "$1" && pwd)
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
cd "$root"
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false

step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }
data=$work/data
common=(--base "$work/base" --catalogue "$data/models.jsonl")
tables=(--pairs "$data/pairs_val.jsonl" --coco "$data/captions.txt" --parti "$data/PartiPrompts.tsv"
    --adapters "sft=$work/sft/adapter" "rrhf=$work/rrhf/adapter" "${common[@]}")
training=(--model_name_or_path "$work/base" --catalogue "$data/models.jsonl" --resume_from_checkpoint auto
    --use_cpu true --bf16 false --report_to none --logging_steps 5 --save_steps 20)
weights=(--weights "clip=$work/rewards/clip/pytorch_model.bin"
    "imagereward=$work/rewards/imagereward/ImageReward.pt")
rendering=(--models "$work/models" --catalogue "$data/models.jsonl" --width 64 --height 64 --device cpu)

step "tiny networks, a catalogue, pairs and prompts"
[ -f "$data/PartiPrompts.tsv" ] || python examples/sfta/tiny_models.py "$work"

step "stage 1: supervised fine-tuning on instruction-API pairs"
python -m finetune.sft "${training[@]}" --train_data "$data/pairs_train.jsonl" --output_dir "$work/sft" \
    --gradient_checkpointing false --use_peft true --lora_r 16 --lora_alpha 32 --lora_target_modules all-linear \
    --learning_rate 0.02 --max_steps 25 --per_device_train_batch_size 8

step "stage 2: candidates, one sampled and some by diverse beam search"
# held to the catalogue, because what a random network writes freely exists by no chance
python -m finetune.candidates "${common[@]}" --pairs "$data/pairs_align.jsonl" --adapter "$work/sft/adapter" \
    --output "$work/candidates.jsonl" --groups 2 --constrained

step "stage 2: render, score with three rewards, Unified Metric"
# as python -m finetune.rewards, which knows the sizes of the published scorers
if [ -f "$work/rewards/hps/HPS_v2.1_compressed.pt" ]; then
    rewards=(--rewards clip imagereward hps-v2.1 "${weights[@]}"
        "hps-v2.1=$work/rewards/hps/HPS_v2.1_compressed.pt")
else
    echo "HPS v2 is left out: open_clip is not installed (pip install -e '.[scorers]')"
    rewards=(--rewards clip imagereward "${weights[@]}")
fi
python examples/sfta/tiny_models.py --score --candidates "$work/candidates.jsonl" --store "$work/scores" \
    --images 2 "${rendering[@]}" "${rewards[@]}" --output "$work/scored.jsonl"
python -m finetune.rewards.unified --store "$work/scores" --output "$work/calibration.json"
python -m finetune.rewards.catalogue --candidates "$work/candidates.jsonl" --catalogue "$data/models.jsonl" \
    --output "$work/scored_by_record.jsonl"

step "stage 2: RRHF on the Unified Metric"
python -m finetune.rrhf "${training[@]}" --train_data "$work/scored.jsonl" --output_dir "$work/rrhf" \
    --adapter "$work/sft/adapter" --learning_rate 0.001 --max_steps 6 --per_device_train_batch_size 2

step "Table 1: hallucination error"
diffagent evaluate --table 1 "${tables[@]}" --output "$work/table1"

step "Table 2: rewards of the images of five methods, three seeds"
diffagent evaluate --table 2 "${tables[@]}" --output "$work/table2" --answers "$work/table1/answers" >/dev/null
python examples/sfta/tiny_models.py --score --candidates "$work/table2/calls.jsonl" --store "$work/table2/scores" \
    --images 3 "${rendering[@]}" "${rewards[@]}"
diffagent evaluate --table 2 "${tables[@]}" --output "$work/table2" --answers "$work/table1/answers" \
    --store "$work/table2/scores" --catalogue-reward

step "done"
