from pathlib import Path

Path("output").mkdir(exist_ok=True)
Path("output/numbers.csv").write_text("number\n" + "".join(f"{n * n}\n" for n in range(1, 101)))
