"""Who works on passwords; chosen only by `app`, `simulate` and tests."""
