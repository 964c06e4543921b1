# `make demo` and `make test` set everything up by themselves in .venv, `make docs` in .venv-docs, `make phones` in
# .venv-phones.
PYTHON ?= python3
VENV := .venv
BIN = $(VENV)/bin
DOCS := .venv-docs
STAMP := .venv/.installed
DEMO := configs/shapes/retinanet_mf26m.py
# Steps of demo and tests are so small that a second thread gains nothing, and waits badly where other programs run.
demo test phones: export OMP_NUM_THREADS := 1

.PHONY: setup demo test phones lint docs docs-setup clean

setup: $(STAMP)

# The exporters for phones want other versions of some packages, so they have an environment of their own.
phones: VENV := .venv-phones
phones: .venv-phones/.installed
	$(BIN)/python -m pytest tests/export/test_litert.py tests/export/test_executorch.py tests/export/test_coreml.py \
		tests/export/test_phones.py

$(STAMP): requirements.txt setup.py
.venv-phones/.installed: VENV := .venv-phones
.venv-phones/.installed: requirements-phones.txt setup.py
$(STAMP) .venv-phones/.installed:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' || \
		{ echo 'error: $(PYTHON) is not Python 3.10 to 3.12; name one that is: make PYTHON=python3.11 ...' >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement $<
	$(BIN)/python -m pip uninstall --quiet --yes opencv-python
	$(BIN)/python -m pip install --quiet --no-deps --force-reinstall $$(grep '^opencv-python-headless' $<)
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

demo: $(STAMP)
	rm -rf work_dirs/demo demo
	$(BIN)/python tools/train.py $(DEMO) --work-dir work_dirs/demo
	$(BIN)/python tools/test.py $(DEMO) work_dirs/demo/best_*.pth --work-dir work_dirs/demo \
		--out work_dirs/demo/detections.json --show-dir demo
	$(BIN)/python tools/export.py $(DEMO) work_dirs/demo/best_*.pth --format onnx --output work_dirs/demo/detector.onnx
	$(BIN)/python tools/test.py $(DEMO) work_dirs/demo/detector.onnx --work-dir work_dirs/demo
	$(BIN)/python tools/dev/make_shapes.py work_dirs/demo/photos --count 8 --seed 1 --size 96 96 \
		--max-objects 3 --diameters 0.3 0.7 --clutter 0.25
	$(BIN)/python tools/predict.py work_dirs/demo/detector.onnx work_dirs/demo/photos/images --out demo/predictions
	@echo 'Open demo/overview.png for detections beside the ground truth, work_dirs/demo/curves.png for the training.'
	@echo 'The two tables above are of the trained model and of its export: they agree.'
	@echo 'demo/predictions is what the exported model finds without torch.'

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup --max-worker-restart 0

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs-setup: $(DOCS)/.installed

$(DOCS)/.installed: docs/requirements.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet -r docs/requirements.txt
	@touch $@

docs: $(DOCS)/.installed
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict
	@echo 'Open site/index.html.'

clean:
	rm -rf site $(DOCS) $(VENV) .venv-phones *.egg-info .pytest_cache .ruff_cache demo work_dirs/demo
