def pytest_addoption(parser):
    parser.addoption("--examples", type=int, default=3, help="Examples of each operation.")
