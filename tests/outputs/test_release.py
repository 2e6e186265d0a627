"""What may be seen at medium privacy: every doubt keeps it back."""

import codecs
import io

import pytest

from spoolrunner import release
from spoolrunner.release import Finding, Rules, outside

RULES = Rules()


def inside(path: str, data: bytes, rules: Rules) -> Finding:
    return release.inside(path, io.BytesIO(data), rules)


def test_a_file_of_just_the_limit_passes_and_one_byte_more_does_not():
    assert outside("a.csv", 16_777_216, RULES).reason == ""
    assert "16.0MB" in outside("a.csv", 16_777_217, RULES).reason


@pytest.mark.parametrize(
    "path", ["a.CSV", "a.csv.gz", "a", "a.rds", ".csv", "a.tsv", "a.pdf", "a.csv/b", "a."]
)
def test_a_type_that_is_not_listed_is_kept_back(path):
    assert outside(path, 1, RULES).reason


@pytest.mark.attack("the list of types is empty")
def test_an_empty_list_of_types_opens_nothing():
    assert outside("a.csv", 1, Rules(file_types=frozenset())).reason


HEADERS = [
    "patient_id,age",
    "age,PATIENT_ID",
    " patient_id ,age",
    "age;patient_id",
    "age\tpatient_id",
    "age|Patient_Id",
    "age patient_id",
    '"age","patient_id"',
    "'patient_id',age",
    "# made today\npatient_id,age",
    "# patient_id,age",
    "A title, with a comma, and more, and more\n\npatient_id,age",
    '"an open quote\npatient_id,age',
    "patient_id",
    "a,b\n1,2\n\nregion,age,patient_id",
    "patient\u200b_id,age",
]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_column_that_identifies_patients_is_found_however_it_is_written(header, encoding):
    row = "1 2" if header == "age patient_id" else "1,2"
    data = f"{header}\n{row}\n".encode(encoding)
    assert "identifies" in inside("a.csv", data, RULES).reason


def test_an_identifier_is_found_beside_bytes_that_are_not_utf8():
    assert "identifies" in inside("a.csv", b"patient_id,caf\xe9\n1,2\n", RULES).reason


@pytest.mark.parametrize(
    "text",
    [
        "variable,meaning\nage,years\npatient_id,the key\n",
        "note\nrows were joined on patient_id before counting\n",
        "sum_of_patient_id_count,n\n1,2\n",
        "group,n\n",
        "",
        "caf\xe9,n\na,1\n",
    ],
)
def test_an_ordinary_table_is_not_kept_back(text):
    assert inside("a.csv", text.encode("latin-1"), RULES).reason == ""


def test_5000_rows_pass_and_5001_do_not_in_any_encoding():
    for encode in (codecs.lookup("latin-1").encode, codecs.lookup("utf-16").encode):
        table = "é,n\n" + "a,1\n" * 5000
        fine = inside("a.csv", encode(table)[0], RULES)
        assert (fine.reason, fine.rows, fine.columns) == ("", 5000, 2)
        assert "5001 rows" in inside("a.csv", encode(table + "b,2\n")[0], RULES).reason


@pytest.mark.attack("rows hide in an open quotation")
def test_rows_hidden_in_an_open_quotation_are_counted():
    assert "6000 rows" in inside("a.csv", b'a,"b\n' + b"1,2\n" * 6000, RULES).reason


def test_both_reasons_are_given_when_both_hold():
    finding = inside("a.csv", b"patient_id\n" + b"1\n" * 5001, RULES)
    assert len(finding.reasons) == 2


@pytest.mark.attack("a file says a type of text and is none")
def test_what_is_not_text_is_kept_back():
    assert "could not be read" in inside("a.csv", b"a,b\n\0\0\0", RULES).reason


@pytest.mark.attack("a very long field switches the checks off")
def test_a_very_long_field_does_not_switch_the_checks_off():
    data = b"patient_id,x\n1," + b"y" * 200_000 + b"\n"
    assert "identifies" in inside("a.csv", data, RULES).reason
