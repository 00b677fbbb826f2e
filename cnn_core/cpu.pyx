"""Which ISA levels the processor has, and what was built. Compiled for the lowest of all."""

cdef extern from "cpu.h":
    int x86_64_level() nogil
    bint IS_AARCH64
    bint HAS_SANITIZERS
    const char *CNN_CORE_BUILT_LEVELS
    const char *CNN_CORE_BUILT_MODULES
    const char *CNN_CORE_COMPILER
    const char *CNN_CORE_CYTHON


def detected_levels():
    """Return the levels that this processor has, in rising order; ("generic",) where none is known."""
    cdef int level = x86_64_level()
    if level:
        return tuple([f"x86-64-v{number}" for number in range(2, level + 1)])
    return ("neon",) if IS_AARCH64 else ("generic",)


def built_levels():
    """Return the levels that this package was compiled for, in rising order."""
    return tuple(CNN_CORE_BUILT_LEVELS.decode().split())


def built_modules():
    """Return the names of the modules that each level and dtype has, each after those that it uses."""
    return tuple(CNN_CORE_BUILT_MODULES.decode().split())


def is_sanitized():
    """Return whether this is a build whose accesses to memory are checked at run time."""
    return HAS_SANITIZERS


def compiler():
    """Return the name and version of the C compiler."""
    return CNN_CORE_COMPILER.decode()


def cython_version():
    """Return the version of Cython that made the C sources."""
    return CNN_CORE_CYTHON.decode()
