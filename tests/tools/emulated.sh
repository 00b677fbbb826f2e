#!/usr/bin/env bash
# Tests what computes on ISA levels that this machine need not have, under QEMU's user emulation.
#
#     tests/tools/emulated.sh neon          build for 64-bit ARM, run the tests on its emulation
#     tests/tools/emulated.sh x86-64-v3     carry out every loop of the build in .venv on a processor with
#                                     AVX2 and without AVX-512, where anything newer is an illegal instruction
#     tests/tools/emulated.sh x86-64-v2     the same on one without AVX
#
# What follows neon is passed to pytest. QEMU has no AVX-512: level v4 needs a machine with it. What the
# lower levels compute is tested on this processor, which has them; only their instructions are tried here.
#
# For an x86-64 Debian (and what derives from it); needs no root. The first run unpacks into
# .venv-emulated, from Debian, the cross compiler, QEMU and an ARM Python with its headers, and from
# PyPI the wheels for it: 150 MB to download. Nothing else on the machine is changed.
#
# The ARM Python is emulated and builds the package as on its own machine would; the compiler that it
# starts is a program of this machine, so that compiling costs no more than at home.
set -euo pipefail
cd "$(dirname "$0")/../.."

PYTHON=${PYTHON:-python3}
WORK=$PWD/.venv-emulated
TOOLS=$WORK/tools
SYSROOT=$WORK/sysroot
SITE=$WORK/site
BUILT=$WORK/built
TESTS=(tests/core/kernels tests/core/engine)
# Left out: what NumPy computes, what is refused before a loop begins, and what memory is taken, which no
# level changes; and a test that trains for long on purpose, in the hope of being changed meanwhile, minutes
# under emulation.
CHOSEN='not numpy and not Refusals and not test_no_samples_are_copied_as_a_whole
    and not test_an_order_that_is_changed_meanwhile_does_no_harm'
CHOSEN=${CHOSEN//$'\n'/}

fail() { printf 'tests/tools/emulated.sh: %s\n' "$*" >&2; exit 1; }

# apt-get with lists, locks and downloads of our own.
private_apt() {
    apt-get -qq -o Dir::State="$WORK/apt" -o Dir::Cache="$WORK/apt" -o APT::Sandbox::User= \
        -o APT::Install-Recommends=0 -o Acquire::Languages=none "$@"
}

# unpack FOLDER INSTALLED APT-OPTIONS-AND-PACKAGES: the packages and what they need beyond those that
# the file INSTALLED lists. The folder appears when it is complete.
unpack() {
    local folder=$1 installed=$2 package
    shift 2
    rm -rf "$folder.new"
    mkdir -p "$folder.new" "$WORK/apt/archives/partial"
    private_apt -o Dir::State::status="$installed" install --yes --download-only "$@"
    for package in "$WORK"/apt/archives/*.deb; do
        [ ! -e "$package" ] || dpkg-deb --extract "$package" "$folder.new"
    done
    rm -rf "$WORK/apt/archives"
    mv "$folder.new" "$folder"
}

fetch_packages() {
    [ ! -d "$TOOLS" ] || [ ! -d "$SYSROOT" ] || return 0
    command -v apt-get >/dev/null || fail 'expected a Debian system: apt-get is missing'
    echo 'Unpacking the cross compiler, QEMU and an ARM Python into .venv-emulated ...'
    rm -rf "$TOOLS" "$SYSROOT" "$WORK/apt"
    mkdir -p "$WORK/apt/lists/partial"
    cp /var/lib/dpkg/status "$WORK/apt/installed"
    : >"$WORK/apt/nothing-installed"
    private_apt -o APT::Architectures=amd64,arm64 -o Dir::State::status="$WORK/apt/installed" update
    unpack "$TOOLS" "$WORK/apt/installed" gcc-aarch64-linux-gnu qemu-user-static
    unpack "$SYSROOT" "$WORK/apt/nothing-installed" \
        -o APT::Architecture=arm64 -o APT::Architectures=arm64 python3 libpython3-dev libc6-dev libstdc++6
    rm -rf "$WORK/apt"
}

# On a processor without SVE: NEON alone, and NumPy's BLAS does not choose by what QEMU makes up.
arm_python() {
    PYTHONPATH=$BUILT:$SITE qemu-aarch64-static -cpu cortex-a72 -L "$SYSROOT" \
        "$SYSROOT/usr/bin/python3" "$@"
}

# What building and these tests take, for the ARM Python; by this machine's pip, which knows nothing of it.
fetch_wheels() {
    arm_python - >"$WORK/requirements.new" <<'END'
import tomllib
with open("pyproject.toml", "rb") as file:
    settings = tomllib.load(file)
project = settings["project"]
print(*settings["build-system"]["requires"], *project["dependencies"], sep="\n")
print(*(name for name in project["optional-dependencies"]["test"] if name.startswith(("pytest", "hypothesis"))), sep="\n")
END
    ! cmp -s "$WORK/requirements.new" "$WORK/requirements" || return 0
    echo 'Fetching the wheels for ARM ...'
    rm -rf "$SITE" "$WORK/pip" "$WORK/requirements"
    "$PYTHON" -m venv "$WORK/pip"
    "$WORK/pip/bin/pip" install --quiet --disable-pip-version-check --target "$SITE" \
        --only-binary=:all: --implementation cp \
        --python-version "$(arm_python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" \
        --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
        --platform manylinux2014_aarch64 \
        --requirement "$WORK/requirements.new"
    mv "$WORK/requirements.new" "$WORK/requirements"
}

build_for_arm() {
    local include
    include=$(arm_python -c 'import sysconfig; print(sysconfig.get_path("include"))')
    cat >"$WORK/cc" <<END
#!/bin/sh
# The cross compiler where it was unpacked, with its own libraries and the ARM system's headers.
LD_LIBRARY_PATH=$TOOLS/usr/lib/x86_64-linux-gnu exec aarch64-linux-gnu-gcc \\
    --sysroot=$SYSROOT -I$include "\$@"
END
    chmod +x "$WORK/cc"
    echo 'Building for ARM ...'
    CC=$WORK/cc LDSHARED="$WORK/cc -shared" \
        arm_python setup.py build --build-lib "$BUILT" >"$WORK/build.log" 2>&1 \
        || { tail -n 40 "$WORK/build.log" >&2; fail "the build failed: $WORK/build.log"; }
    ! grep 'warning: ' "$WORK/build.log" | grep -v byte-compiling >&2 \
        || fail "the compiler warns: $WORK/build.log"
}

# expect_level LEVEL PYTHON...: fails unless this is what the package chooses there.
expect_level() {
    local expected=$1 found
    shift
    found=$("$@" -c 'import cnn_core; print(cnn_core.backend_info()["isa"])')
    [ "$found" = "$expected" ] || fail "expected the level $expected, found $found"
}

# x86_python PROCESSOR ARGUMENTS: .venv's Python on that processor.
x86_python() {
    # NumPy's wheels hold a BLAS that does not recognize QEMU's older processors.
    OPENBLAS_CORETYPE=Nehalem qemu-x86_64-static -cpu "$@" 2> >(grep -v 'TCG doesn.t support' >&2)
}

# The levels that NumPy would choose there for its own loops. They are no part of the test, and QEMU 7.2
# reads beside the array in NumPy's (`vpgatherdd`, with an index that the mask leaves out).
numpy_levels() {
    "$@" -c 'import numpy; print(*numpy.show_config(mode="dicts")["SIMD Extensions"].get("found", []))'
}

[ "$(uname -m)" = x86_64 ] || fail "expected an x86-64 machine, found $(uname -m); try: make test"
level=${1:-}
shift || true
case $level in
neon) run=(arm_python) ;;
x86-64-v3) run=(x86_python Haswell .venv/bin/python) ;;
x86-64-v2) run=(x86_python Nehalem .venv/bin/python) ;;
*) fail "expected neon, x86-64-v3 or x86-64-v2, found '$level'" ;;
esac

export PATH=$TOOLS/usr/bin:$PATH
fetch_packages
if [ "$level" = neon ]; then
    fetch_wheels
    build_for_arm
fi
unset CNN_CORE_ISA CNN_CORE_BACKEND NPY_DISABLE_CPU_FEATURES
NPY_DISABLE_CPU_FEATURES=$(numpy_levels "${run[@]}")
export NPY_DISABLE_CPU_FEATURES
expect_level "$level" "${run[@]}"
if [ "$level" = neon ]; then
    "${run[@]}" -m pytest -p no:cacheprovider "${TESTS[@]}" -k "$CHOSEN" "$@"
else
    PYTHONPATH=tests/helpers OPENBLAS_NUM_THREADS=1 "${run[@]}" tests/tools/memcheck.py >"$WORK/$level.log" \
        || { tail -n 5 "$WORK/$level.log" >&2; fail "the last loop above fails on $level"; }
    echo "Every loop runs on $level."
fi
