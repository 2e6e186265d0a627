from pathlib import Path

numbers = map(int, Path("output/numbers.csv").read_text().split()[1:])
Path("output/largest.txt").write_text(f"{max(numbers)}\n")
