"""Where user code runs: `process` in the real world, `inline` in the virtual one."""
