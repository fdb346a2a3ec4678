"""``--seeds N``: how many worlds to run; ``--first-seed M``: where to begin."""


def pytest_addoption(parser):
    group = parser.getgroup("littoral")
    group.addoption("--seeds", type=int, default=200, help="worlds to run in tests/sim")
    group.addoption("--first-seed", type=int, default=0, help="seed of the first world")


def pytest_generate_tests(metafunc):
    if "world_seed" in metafunc.fixturenames:
        first = metafunc.config.getoption("--first-seed")
        count = metafunc.config.getoption("--seeds")
        metafunc.parametrize("world_seed", range(first, first + count))
