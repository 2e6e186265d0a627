"""What the texts of settings and env files mean."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoolrunner import envfile, settings, units
from spoolrunner.setting import Machine

PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="'\r\0"), max_size=30)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("5", 5),
        ("0.5", 0.5),
        ("90s", 90),
        ("12h", 43200),
        ("1h30m", 5400),
        ("2d", 172800),
    ],
)
def test_a_duration_is_a_number_with_its_unit(text, seconds):
    assert units.seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("16777216", 16 << 20),
        ("100M", 100 << 20),
        ("4G", 4 << 30),
        ("4g", 4 << 30),
        ("1.5GiB", 3 << 29),
        ("16 MiB", 16 << 20),
        ("512b", 512),
        ("2T", 2 << 40),
    ],
)
def test_a_size_is_counted_as_docker_counts(text, size_bytes):
    assert units.size(text) == size_bytes


@pytest.mark.parametrize("text", ["true", "True", "1", "YES", "on"])
def test_the_words_for_true(text):
    assert units.truth(text) is True


@pytest.mark.parametrize("text", ["false", "0", "no", "OFF"])
def test_the_words_for_false(text):
    assert units.truth(text) is False


def test_a_list_is_split_at_commas_and_empty_names_are_dropped():
    assert units.names("a, b,,c ,") == ("a", "b", "c")


@pytest.mark.parametrize("reader", [units.seconds, units.size, units.number, units.user])
@given(text=st.text())
def test_a_text_that_cannot_be_read_is_refused_without_being_repeated(reader, text):
    with pytest.raises(ValueError, match=r"^must be ") as refused:
        reader(f"s3cr3t{text}")
    assert "s3cr3t" not in str(refused.value)


def parsed(text: str) -> list[tuple[int, str, str]]:
    return [tuple(line) for line in envfile.parse(text)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=b", "b"),
        ("A = b", "b"),
        ("export A=b", "b"),
        ("  A=b  ", "b"),
        ("A=b c", "b c"),
        ("A=b # c", "b"),
        ("A=b#c", "b#c"),
        ("A=", ""),
        ("A= # c", ""),
        ("A=''", ""),
        ("A='b # c' # d", "b # c"),
        ('A="b # c"', "b # c"),
        ('A="b\\"c\\n\\$d"', 'b"c\n$d'),
        ("A='b\\nc'", "b\\nc"),
        ("A='b\nc'", "b\nc"),
        ("A=b$C${D}", "b$C${D}"),
        ("A=it's", "it's"),
        ("A=b=c", "b=c"),
    ],
)
def test_one_assignment_of_an_env_file(text, value):
    assert parsed(text) == [(1, "A", value)]
    assert parsed(f"# first\n\n{text}\nZ=1\n")[0] == (3, "A", value)
    assert parsed(f"{text}\nZ=1\n")[-1][1:] == ("Z", "1")


@pytest.mark.parametrize("text", ["A", "A b=c", "=b", "1A=b", "A='b", 'A="b', "A='b'c", "{"])
def test_a_line_that_is_no_assignment_keeps_nothing_but_its_number(text):
    assert parsed(f"Z=1\n{text}\n")[1] == (2, "", "")


@given(PLAIN)
def test_whatever_is_single_quoted_is_taken_as_it_stands(value):
    assert parsed(f"A='{value}'\nB=c\n")[0] == (1, "A", value)


@given(st.text(max_size=200))
def test_every_text_has_an_end(text):
    for line in envfile.parse(text):
        assert 1 <= line.number <= text.count("\n") + 1


def test_every_default_can_be_read():
    machine = Machine(uid=0, gid=0, cores=4)
    values: dict[str, object] = {}
    for setting in settings.table().values():
        made = setting.default
        values[setting.field] = setting.read(
            made if isinstance(made, str) else made(values, machine)
        )
    assert set(values) | {"former_secrets", "ignored", "warnings", "weights"} == set(
        settings.Config.__dataclass_fields__
    )


def test_the_readmes_table_of_settings_is_the_table_of_the_program():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    shown = re.search(r"<!-- settings -->\n(.*?)<!-- /settings -->", readme, re.DOTALL)
    assert shown, "README.md has no <!-- settings --> ... <!-- /settings -->"
    assert shown[1].strip() == settings.table_for_readme().strip()
