"""The compiled part of Hydria; `pyproject.toml` holds everything else.

Every `fastpath/*.pyx` becomes the extension `fastpath.<name>`. There is no slower twin to fall back to: a missing Cython, a missing compiler or
a warning about a lossy conversion belongs on the screen of whoever builds, not in the behaviour of what was built.
"""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

C_FLAGS = ["-O2", "-Wall", "-Wextra", "-Wconversion"]

setup(
    ext_modules=cythonize(
        [Extension(f"fastpath.{pyx.stem}", [str(pyx)], extra_compile_args=C_FLAGS) for pyx in sorted(Path("fastpath").glob("*.pyx"))],
        compiler_directives={"language_level": 3},
    )
)
