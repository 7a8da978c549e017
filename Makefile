# `make demo` and `make test` do all the set-up on a fresh machine; everything lands in .venv/ and .sentinel/.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK_IMAGE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra s3 --extra gs --no-header --no-annotate \
  --no-emit-index-url --generate-hashes --upgrade --constraints requirements.lock
DEMO_KEEP ?= .sentinel/demo

.DEFAULT_GOAL := help
.PHONY: help install demo test slow up bench compare evaluate days rates corruptions tampering nuisances registration corpus gate pretrain vfi decay heal heal-time conditions blinding peers chaos fuzz watching http mqtt rtsp closer objects containers soak lint format clean lock generated hostile bench-gpu release network

help:            ## show this
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

install: $(STAMP)  ## make .venv and install what is pinned in requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Sentinel needs Python 3.11 to 3.13, $(PYTHON) is $$($(PYTHON) --version 2>&1): say make PYTHON=python3.12 ..."; exit 1; }
	@echo "==> making $(VENV) (a few minutes the first time; about 2.5 GB)"
	@$(PYTHON) -m venv $(VENV) || { echo "no venv: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --quiet -e .
	@touch $(STAMP)
	@echo "==> installed"

demo: install    ## the story in a few minutes; VIDEO=file.mp4 tells it with your own footage
	$(BIN)/sentinel demo $(if $(VIDEO),--video "$(VIDEO)") --keep "$(DEMO_KEEP)"

test: install lint  ## lint, types, import rules, and every test
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

slow: install    ## the tests that `make test` leaves out, and the laws with ten times as many examples
	$(BIN)/python -m pytest -m slow
	$(BIN)/python -m pytest -m "hypothesis and not slow" --hypothesis-profile=deep -n 3 --dist loadfile

up: install      ## run the whole stack on this machine
	$(BIN)/sentinel up

evaluate: install  ## is the judge right? DATA=folder with clips; PEERS=1 runs other detectors beside it
	@test -n "$(DATA)" || { echo "say make evaluate DATA=folder (with video clips)"; exit 2; }
	$(if $(PEERS),$(MAKE) peers)
	$(BIN)/python -m benchmarks.detection --data "$(DATA)"
	$(if $(PEERS),$(BIN)/python -m benchmarks.peer_comparison --data "$(DATA)" --peers .venv-peers/bin/python)

rates: install   ## do the rates hold on cameras not seen? DATA=folder[:folder] with clips of fixed cameras
	@test -n "$(DATA)" || { echo "say make rates DATA=folder (with clips of fixed cameras)"; exit 2; }
	$(BIN)/python -m benchmarks.rates --data "$(DATA)" --notes

corruptions: install peers  ## ImageNet-C on cameras not seen: DATA=folder[:folder] with clips of fixed cameras; CAMERAS=name,name
	@test -n "$(DATA)" || { echo "say make corruptions DATA=folder (with clips of fixed cameras)"; exit 2; }
	$(BIN)/python -m benchmarks.corruptions --data "$(DATA)" --peers .venv-peers/bin/python $(if $(CAMERAS),--cameras "$(CAMERAS)")

tampering: install  ## films of tampering: how soon is it found? DATA=folder BEGINS=file.csv with lines of film,begins,until (frames)
	@test -n "$(DATA)" -a -n "$(BEGINS)" || { echo "say make tampering DATA=folder BEGINS=file.csv (film,begins,until)"; exit 2; }
	$(BIN)/python -m benchmarks.tampering --data "$(DATA)" --begins "$(BEGINS)"

nuisances: install  ## changes that are no fault, on cameras not seen: DATA=folder[:folder] with clips of fixed cameras
	@test -n "$(DATA)" || { echo "say make nuisances DATA=folder (with clips of fixed cameras)"; exit 2; }
	$(BIN)/python -m benchmarks.nuisances --data "$(DATA)"

registration: install  ## is a camera that moved found? DATA=folder[:folder] with clips of fixed cameras
	@test -n "$(DATA)" || { echo "say make registration DATA=folder (with clips of fixed cameras)"; exit 2; }
	$(BIN)/python -m benchmarks.registration --data "$(DATA)"

corpus: install  ## make the table of clean drift anew: DATA=folder[:folder] with clean clips of fixed cameras
	@test -n "$(DATA)" || { echo "say make corpus DATA=folder (with clean clips of fixed cameras)"; exit 2; }
	$(BIN)/python -m benchmarks.corpus --data "$(DATA)"

days: install    ## a camera learned over days: DATA=folder with clips of fixed cameras, STILLS=folder with a webcam's week
	@test -n "$(DATA)$(STILLS)" || { echo "say make days DATA=folder (with clips) or STILLS=folder (with stills)"; exit 2; }
	$(BIN)/python -m benchmarks.days $(if $(DATA),--data "$(DATA)") $(if $(STILLS),--stills "$(STILLS)")

gate: install    ## does the gate promote what gains nothing, and find what gains? RUNS=2000
	$(BIN)/python -m benchmarks.gate $(if $(RUNS),--runs $(RUNS))

conditions: install  ## do conditions hide faults? DATA=folder with clips
	@test -n "$(DATA)" || { echo "say make conditions DATA=folder (with video clips)"; exit 2; }
	$(BIN)/python -m benchmarks.conditions --data "$(DATA)"

blinding: install  ## does acting blind seeing? DATA=folder with clips of fixed cameras
	@test -n "$(DATA)" || { echo "say make blinding DATA=folder (with clips of fixed cameras)"; exit 2; }
	$(BIN)/python -m benchmarks.blinding --data "$(DATA)"

pretrain: install  ## make the starting weights of MODEL=vfi anew: DATA=folder with the films that it names, and clips to measure on
	@test -n "$(DATA)" || { echo "say make pretrain DATA=folder (with the films named in benchmarks/pretrain_samples.py)"; exit 2; }
	$(BIN)/python -m benchmarks.pretrain --data "$(DATA)" --model "$(or $(MODEL),vfi)"

vfi: install     ## models vfi and rife on UCF101 and Middlebury, and healed: DATA=folder with ucf101_interp_ours and middlebury_others
	@test -n "$(DATA)" || { echo "say make vfi DATA=folder (with ucf101_interp_ours and middlebury_others)"; exit 2; }
	$(BIN)/python -m benchmarks.vfi "$(DATA)"

heal-time: install  ## from a drop of drifted footage to its proved champion, on a real stack; RUNS=1 OPTIONS="--size 768x432"
	$(BIN)/python -m benchmarks.heal_time --runs $(or $(RUNS),1) $(OPTIONS)

decay: install   ## is a model that decays found on clean footage, and a sound one left alone? DATA=folder with clean clips
	@test -n "$(DATA)" || { echo "say make decay DATA=folder (with clean clips)"; exit 2; }
	$(BIN)/python -m benchmarks.decay --data "$(DATA)"

heal: install    ## the story, measured: healed, refused, decayed, rolled back; DATA=folder with clips OPTIONS="--seeds 0"
	$(BIN)/python -m benchmarks.heal $(if $(DATA),--data "$(DATA)") $(OPTIONS)

peers: .venv-peers/.installed  ## install the detectors that Sentinel is compared with, apart: they need NumPy 1

.venv-peers/.installed: requirements-peers.lock
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --disable-pip-version-check --quiet -r requirements-peers.lock
	@touch $@

chaos: install   ## kill, double, poison, act, count: MINUTES=10 SEED=1
	$(BIN)/python -m tests.chaos.run --minutes $(or $(MINUTES),10) --seed $(or $(SEED),1)
	CHAOS_RETRAININGS=20 $(BIN)/python -m pytest -q tests/common/models/test_killed.py

fuzz: install    ## mutated camera events and files: EVENTS=10000 FILES=10000 SEED=1
	$(BIN)/python -m tests.fuzz.run --events $(or $(EVENTS),10000) --files $(or $(FILES),10000) --seed $(or $(SEED),1)

hostile: install ## cameras and clients that send nonsense, without end, or too slowly: is all bounded? MINUTES=3 GB=10
	$(BIN)/python -m tests.hostile.run --minutes $(or $(MINUTES),3) --gigabytes $(or $(GB),10)

bench: install   ## throughput, latency, judge, scale; DATA=folder with clips
	$(BIN)/python -m benchmarks.judge
	$(BIN)/python -m benchmarks.throughput $(if $(DATA),--data "$(DATA)")
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.scale

bench-gpu: install  ## the embed task and interpolation on a GPU beside the CPU; without a GPU, on the CPU alone; RUNS=5
	$(BIN)/python -m benchmarks.gpu --runs $(or $(RUNS),5)

watching: install  ## how soon a verdict is seen, the page's weight, a fleet of 500 drawn
	$(BIN)/python -m benchmarks.watching

http: install    ## frames posted over HTTP while Redis is full in between: is every 202 a batch? SECONDS=60
	$(BIN)/python -m benchmarks.http_ingest --seconds $(or $(SECONDS),60)

mqtt: install    ## frames over MQTT while the process is killed and Redis is full in between: lost, doubled? FRAMES=3000
	$(BIN)/python -m benchmarks.mqtt_ingest --frames $(or $(FRAMES),3000)

rtsp: install    ## 50 live cameras of 1080p from a real RTSP server: processor, memory, segments; CAMERAS=50 SECONDS=150
	$(BIN)/python -m benchmarks.rtsp --cameras $(or $(CAMERAS),50) --seconds $(or $(SECONDS),150)

closer: install  ## live cameras by key frames, looked at closer in doubt: cameras per core against delay; DATA=folder with clips SECONDS=10
	$(BIN)/python -m benchmarks.closer $(if $(DATA),--data "$(DATA)") $(if $(SECONDS),--segment $(SECONDS))

objects: install ## requests, bytes and time that a video in object storage costs, by host; SECONDS=60
	$(BIN)/python -m benchmarks.objects --seconds $(or $(SECONDS),60)

containers: install  ## build the images and run every documented container command, with Docker or podman; PARTS="images compose"
	$(BIN)/python -m tests.containers.run $(if $(PARTS),--parts $(PARTS))

network: install ## networks that are cut and lose packets, in namespaces: cameras, object storage, several hosts; needs root; PARTS=cameras SEED=1
	$(BIN)/python -m tests.networked.run $(if $(PARTS),--parts $(PARTS)) --seed $(or $(SEED),1)

soak: install    ## 10,000 verdicts a minute, processes killed, connections cut: memory, loss, alerts told once; SECONDS=300
	$(BIN)/python -m benchmarks.soak --seconds $(or $(SECONDS),300)

compare: install  ## BASE=commit beside this tree: same verdicts? speed? DATA=folder RUNS=3 OPTIONS="--clips 1"
	@test -n "$(BASE)" || { echo "say make compare BASE=commit"; exit 2; }
	$(BIN)/python -m benchmarks.compare --base "$(BASE)" $(if $(DATA),--data "$(DATA)") $(if $(RUNS),--runs $(RUNS)) $(OPTIONS)

lint: install    ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install     ## mend what ruff can mend, and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generated: install  ## bring what follows from settings, processes and pins up to date (docs, Procfile, compose, LICENCES.md)
	$(BIN)/python -m sentinel.cli.generated .
	$(BIN)/python -m release.licences .

release: install  ## wheel and sdist into dist/, looked into, and the wheel tried in a new venv (2.5 GB, removed); CONTRIBUTING.md
	$(BIN)/python -m release.make

lock: install    ## pin the newest versions that fit (needs uv); those of the images are the same, with hashes
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --extra demo --extra dev \
	  --no-header --no-annotate --no-emit-index-url --upgrade pyproject.toml -o requirements.lock
	$(LOCK_IMAGE) --overrides deploy/images/without-tensorflow.txt pyproject.toml -o deploy/images/service.lock
	$(LOCK_IMAGE) --extra demo --overrides deploy/images/with-tensorflow-cpu.txt \
	  pyproject.toml deploy/images/tensorflow-cpu.txt -o deploy/images/worker-cpu.lock
	$(LOCK_IMAGE) --extra gpu --overrides deploy/images/with-cuda.txt pyproject.toml -o deploy/images/worker-gpu.lock

clean:           ## remove what was installed and made here
	rm -rf $(VENV) .venv-peers .sentinel *.egg-info build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
