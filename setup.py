"""How spoolrunner is packed. Each range begins with what its tests have seen, and ends before the
next version that may break its users."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def version() -> str:
    text = (HERE / "spoolrunner" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert found, "spoolrunner/__init__.py holds no __version__"
    return found[1]


setup(
    name="spoolrunner",
    version=version(),
    description="Run OpenSAFELY-style studies on sealed servers, from a queue that is only files",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="GPL-3.0-or-later",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["spoolrunner", "spoolrunner.*"]),
    package_data={"spoolrunner": ["py.typed"]},
    entry_points={"console_scripts": ["spoolrunner = spoolrunner.cli:main"]},
    install_requires=[
        "click>=8.5,<9",
        "docker>=7.1,<8",
        "filelock>=4.2,<5",
        "msgspec>=0.22,<0.23",
        "requests>=2.34,<3",
        "rich>=15,<16",
        "ruamel.yaml>=0.19,<0.20",
        "ruamel.yaml.clib>=0.2.15,<0.3",
        "urllib3>=2.8,<3",
        "watchdog>=7.1,<8",
    ],
    extras_require={
        "test": [
            "hypothesis>=6.170,<7",
            "mypy>=2.4,<3",
            "pytest>=9.2,<10",
            "pytest-xdist>=3.8,<4",
            "ruff>=0.17.6,<0.18",
        ]
    },
    classifiers=[
        "Environment :: Console",
        "Intended Audience :: Healthcare Industry",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Topic :: System :: Distributed Computing",
    ],
)
