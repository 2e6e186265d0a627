from pathlib import Path

output = Path("output")
Path("output/both.txt").write_text(
    (output / "total.txt").read_text() + (output / "largest.txt").read_text()
)
