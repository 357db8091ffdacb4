# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What all commands share: words, files of arguments, help, completion, exit codes."""

import inspect
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import yaml

from gsocc_core.arguments import keyword_arguments
from gsocc_core.commands import cli
from gsocc_core.commands.completion import completion
from gsocc_core.errors import ConfigError
from gsocc_core.program import Terminated
from gsocc_core.resuming import resumable_folder


@dataclass(frozen=True)
class Engine:
    power_kw: float = 80.0
    fuels: tuple[str, ...] = ("diesel",)


def drive(
    car: str, stops: tuple[str, ...], engine: Engine = Engine(), lights: bool = True, km: int | None = None
) -> None:
    """Drive somewhere.

    Args:
        car: Which one.
        stops: Where to.
        engine: What drives it.
        lights: Whether they are on; None = of no use.
        km: How far.
    """
    CALLS.append({"car": car, "stops": stops, "engine": engine, "lights": lights, "km": km})


CALLS: list[dict] = []


@pytest.fixture
def run():
    CALLS.clear()
    return lambda *words: cli.run_program("drive", drive, list(words))


def test_words_files_and_both_reach_the_function(run, tmp_path):
    assert run("van", "Paris", "Rome", "--engine.power_kw", "1e2", "--no-lights") == 0
    file = tmp_path / "trip.yaml"
    file.write_text("car: bus\nstops: [Oslo]\nengine: {power_kw: 50, fuels: [gas]}\nkm: 3\n")
    assert run("--config", str(file)) == 0
    assert run("tram", "--config", str(file), "--engine.power_kw", "60", "--km", "null") == 0
    assert [
        {"car": "van", "stops": ("Paris", "Rome"), "engine": Engine(100.0), "lights": False, "km": None},
        {"car": "bus", "stops": ("Oslo",), "engine": Engine(50.0, ("gas",)), "lights": True, "km": 3},
        {"car": "tram", "stops": ("Oslo",), "engine": Engine(60.0, ("gas",)), "lights": True, "km": None},
    ] == CALLS


def test_printed_arguments_are_a_file_that_gives_the_same_call(run, tmp_path, capsys):
    words = ["van", "Paris", "--engine.fuels", "gas,oil", "--km", "7"]
    assert run(*words, "--print_config") == 0
    assert CALLS == []
    file = tmp_path / "trip.yaml"
    file.write_text(capsys.readouterr().out)
    assert yaml.safe_load(file.read_text()) == {
        "car": "van", "stops": ["Paris"], "engine": {"power_kw": 80.0, "fuels": ["gas", "oil"]}, "lights": True,
        "km": 7,
    }  # fmt: skip
    assert run("--config", str(file)) == run(*words) == 0
    assert CALLS[0] == CALLS[1]
    assert run("--print_config") == 0
    assert yaml.safe_load(capsys.readouterr().out)["car"] is None  # wanted, and not given yet


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["van"], "drive: error: command line: stops: expected --stops VALUE or the words behind CAR"),
        ([], "drive: error: command line: car: expected --car VALUE or the first word after 'drive'"),
        (
            ["van", "x", "--ligths", "true"],
            "ligths: expected one of car, stops, engine, lights, km, received an",
        ),
        (["van", "x", "--engine.power", "3"], "(did you mean power_kw?)"),
        (["van", "x", "--km", "1.5"], "km: expected a whole number or null, received 1.5"),
        (["van", "x", "-k", "1"], "-k: expected --key value"),
        (["--config", "none.yaml"], "none.yaml"),
    ],
)
def test_wrong_words_end_in_one_line(run, words, told, capsys):
    assert run(*words) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1
    assert CALLS == []


def test_a_wrong_value_in_a_file_names_the_file(run, tmp_path, capsys):
    file = tmp_path / "trip.yaml"
    file.write_text("car: bus\nengine: {power_kw: strong}\n")
    assert run("Oslo", "--config", str(file)) == 2
    assert f"{file}: engine.power_kw: expected a number, received 'strong'" in capsys.readouterr().err


def test_help_shows_words_and_arguments(run, capsys):
    with pytest.raises(SystemExit) as end:
        run("--help")
    assert end.value.code == 0
    told = capsys.readouterr().out
    assert "usage: drive CAR STOPS ... [--key value ...]" in told
    for part in ("--engine.power_kw", "--config", "--print_config", "null = of no use"):
        assert part in told


def test_commands_are_found_by_one_or_two_words(tmp_path):
    assert cli.split_words(["label", "stand_in", "x"]) == ("label stand-in", ["x"])
    assert cli.split_words(["check_rig", "my.yaml"]) == ("check-rig", ["my.yaml"])
    assert cli.split_words(["rig", "kalibr", "a.yaml"]) == ("rig", ["kalibr", "a.yaml"])
    with pytest.raises(ConfigError, match=r"'evaluat' \(is evaluate meant\?\)"):
        cli.split_words(["evaluat", "x"])
    with pytest.raises(ConfigError, match="'label dept'"):
        cli.split_words(["label", "dept"])
    (tmp_path / "metadata.yaml").touch()
    assert cli.split_words(["view", str(tmp_path), "--frame", "1"]) == ("view-bag", [str(tmp_path), "--frame", "1"])
    assert cli.split_words(["view", "--frame", "1", str(tmp_path)])[0] == "view-bag"
    assert cli.split_words(["view", str(tmp_path.parent)])[0] == "view"


def test_commands_of_other_packages_come_by_their_entry_points(monkeypatch, capsys):
    found = {"gsocc.commands": [EntryPoint("drive home", f"{__name__}:drive", "gsocc.commands")]}
    monkeypatch.setattr(cli, "entry_points", lambda group: found.get(group, []))
    CALLS.clear()
    cli.main(["drive", "home", "van", "Rome"])
    assert CALLS[0]["stops"] == ("Rome",)
    found["gsocc.commands"] += [
        EntryPoint("fly", "no_such_package.air:fly", "gsocc.commands"),
        EntryPoint("doctor", f"{__name__}:drive", "gsocc.commands"),
    ]
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    told = capsys.readouterr().out
    assert "  drive home          Drive somewhere.\n" in told
    assert "  fly                 not available: No module named 'no_such_package'\n" in told
    assert f"doctor of {__name__}:drive is refused" in told
    assert cli.function_of("doctor").__module__.startswith("gsocc_core.")
    cli.main(["completion"])
    told = capsys.readouterr().out
    assert '"drive home") options="--car --stops' in told
    assert "fly" not in told
    with pytest.raises(ConfigError, match="fly: expected no_such_package.air:fly can be imported"):
        cli.function_of("fly")
    monkeypatch.setattr(cli, "entry_points", lambda group: [])
    with pytest.raises(ConfigError, match="a package with the command view-bag, as gsocc_ros"):
        cli.function_of("view-bag")


def test_no_argument_of_a_command_hides_the_file():
    for name in cli.COMMANDS:
        assert {"config", "print_config"}.isdisjoint(inspect.signature(cli.function_of(name)).parameters)


def test_a_shell_completes_commands_and_arguments(tmp_path):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    script = tmp_path / "completion.sh"
    script.write_text(completion({"drive": drive, "park now": drive, "park late": Path.cwd}))

    def completed(*words):
        line = " ".join(f"'{word}'" for word in ("gsocc_core", *words))
        code = f'. {script}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _gsocc_core; echo "${{COMPREPLY[*]}}"'
        return subprocess.run([bash, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert completed("") == ["drive", "park"]
    assert completed("pa") == ["park"]
    assert completed("park", "") == ["now", "late"]
    assert completed("drive", "van", "--e") == ["--engine.power_kw", "--engine.fuels"]
    assert completed("park", "now", "--l") == ["--lights"]
    assert completed("park", "late", "--l") == []
    assert completed("drive", "--k") == ["--km"]


def test_values_of_sequences_are_read_as_lists():
    def load(things: Sequence[str]) -> None: ...

    assert keyword_arguments(load, {"things": ["a", "b"]}, "x.yaml") == {"things": ("a", "b")}
    with pytest.raises(ConfigError, match="things: expected a list, each text, received 'a'"):
        keyword_arguments(load, {"things": "a"}, "x.yaml")


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_an_interrupt_before_the_work_names_what_an_earlier_one_left(tmp_path, error, code, capsys, monkeypatch):
    monkeypatch.delenv("GSOCC_DEBUG", raising=False)

    def imports(out: str) -> None:
        raise error()

    def told():
        assert cli.run_program("draw", imports, [str(tmp_path / "out")]) == code
        return capsys.readouterr().err.strip().splitlines()[-1]

    assert told().endswith("; nothing is left of an output that was not complete; the same command begins anew")
    with suppress(KeyboardInterrupt), resumable_folder(tmp_path / "out", {}) as items:
        items.begin("first")
        items.finish("first")
        raise KeyboardInterrupt
    assert told().endswith("out.incomplete keeps what is complete, and the same command goes on with the rest")
    (tmp_path / "out.incomplete").rename(tmp_path / "else.incomplete")
    assert "nothing is left" in told()
