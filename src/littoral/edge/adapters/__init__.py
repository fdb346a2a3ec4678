"""The real world of the link: `websockets` over TLS, `cryptography`, files. Chosen by `app`."""
