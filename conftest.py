"""What nbval does not compare in the stored notebooks: progress, rich views, and text that renders pictures."""


def pytest_collectstart(collector) -> None:
    """Leave out outputs that may differ between machines; numbers that matter are printed, rounded, on stdout."""
    if collector.fspath and collector.fspath.ext == ".ipynb":
        collector.skip_compare += ("stderr", "text/html")
