"""What serves one notebook of the series: exercises, tables, cases, surveys, sweeps and costs."""
