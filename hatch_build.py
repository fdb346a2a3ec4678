"""Build hook: compile the hot path into the wheel where the machine can. ADR 0015."""

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):
    """Called by pip for wheels and for editable installations alike."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del version
        file = Path(self.root, "src", "littoral", "native", "build.py")
        spec = importlib.util.spec_from_file_location("littoral_native_build", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.app.display_info(f"littoral's hot path is {module.build()}")
        if module.target().exists():
            build_data["artifacts"].append(f"src/littoral/native/{module.target().name}")
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
