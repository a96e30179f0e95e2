"""The mutants of `make mutants` still apply to the source, and the tests that must catch them still exist."""

from tests.mutants import MUTANTS, ROOT, applied

POINTS = set(range(1, 22))


def test_every_mutant_applies_and_names_a_test() -> None:
    for mutant in MUTANTS:
        assert applied(mutant, ROOT)
        file, _, name = mutant.test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(), mutant.test


def test_every_point_has_a_mutant() -> None:
    assert {mutant.point for mutant in MUTANTS} - {0} == POINTS
