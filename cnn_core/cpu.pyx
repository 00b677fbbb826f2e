"""ISA levels of the processor and of the build. This module is compiled for the lowest level."""

cdef extern from "cpu.h":
    int x86_64_level() nogil
    bint IS_AARCH64
    bint HAS_SANITIZERS
    const char *CNN_CORE_BUILT_LEVELS
    const char *CNN_CORE_BUILT_MODULES
    const char *CNN_CORE_COMPILER
    const char *CNN_CORE_CYTHON


def detected_levels():
    """Return the levels of this processor, in rising order; ("generic",) if none is known."""
    cdef int level = x86_64_level()
    if level:
        return tuple([f"x86-64-v{number}" for number in range(2, level + 1)])
    return ("neon",) if IS_AARCH64 else ("generic",)


def built_levels():
    """Return the levels that the package was compiled for, in rising order."""
    return tuple(CNN_CORE_BUILT_LEVELS.decode().split())


def built_modules():
    """Return the modules of each level and dtype; a module follows those that it imports."""
    return tuple(CNN_CORE_BUILT_MODULES.decode().split())


def is_sanitized():
    """Return whether this build has a sanitizer, which checks memory accesses at run time."""
    return HAS_SANITIZERS


def compiler():
    """Return the name and version of the C compiler."""
    return CNN_CORE_COMPILER.decode()


def cython_version():
    """Return the version of Cython that generated the C sources."""
    return CNN_CORE_CYTHON.decode()
