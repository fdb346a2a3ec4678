"""Where a bug inside a session is told, when it must not end the node."""

import asyncio


def report_bug(error: Exception) -> None:
    """Tell the loop's handler: the real one logs it, the virtual one fails the run."""
    context = {"message": "a session of the link was ended by a bug", "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)
