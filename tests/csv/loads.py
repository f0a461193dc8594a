"""Loads CSV files without options in pandas and DuckDB, and holds what they take columns for against what is documented.

Standard input: a JSON list of {"path": ..., "columns": [{"name": ..., "type": "text" | "integer" | "float"}]}.
Prints a line for each thing that is wrong, then how many files and columns were looked at.
"""

import csv
import json
import sys

import duckdb
import pandas
from pandas.api import types

DUCKDB = {"text": "VARCHAR", "integer": "BIGINT", "float": "DOUBLE"}


def fits_pandas(column, documented):
    if documented == "float":
        return types.is_float_dtype(column)
    if documented == "integer":
        # pandas has no integer column with gaps unless it is asked for one.
        gaps = column.isna().any() and (column.dropna() % 1 == 0).all() if types.is_float_dtype(column) else False
        return types.is_integer_dtype(column) or gaps
    return types.is_object_dtype(column) or types.is_string_dtype(column)


def troubles(path, columns):
    names = [column["name"] for column in columns]
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    frame = pandas.read_csv(path)
    if list(frame.columns) != names:
        yield f"pandas has the columns {list(frame.columns)}"
        return
    described = duckdb.execute("DESCRIBE SELECT * FROM read_csv_auto(?)", [path]).fetchall()
    if [row[0] for row in described] != names:
        yield f"DuckDB has the columns {[row[0] for row in described]}"
        return
    (count,) = duckdb.execute("SELECT count(*) FROM read_csv_auto(?)", [path]).fetchone()
    if not len(rows) == len(frame) == count:
        yield f"{len(rows)} rows are {len(frame)} to pandas and {count} to DuckDB"
    for column, (name, duckdb_type, *_) in zip(columns, described):
        empty = sum(row[name] == "" for row in rows)
        if frame[name].isna().sum() != empty:
            yield f"{name}: {empty} empty fields are {frame[name].isna().sum()} to pandas"
        if empty == len(rows):
            continue  # Nothing tells the type of nothing.
        if not fits_pandas(frame[name], column["type"]):
            yield f"{name}: {column['type']} is {frame[name].dtype} to pandas"
        if duckdb_type != DUCKDB[column["type"]]:
            yield f"{name}: {column['type']} is {duckdb_type} to DuckDB"


def main():
    files = json.load(sys.stdin)
    for file in files:
        for trouble in troubles(file["path"], file["columns"]):
            print(f"{file['path']}: {trouble}")
    print(f"looked at {len(files)} files, {sum(len(file['columns']) for file in files)} columns")


main()
