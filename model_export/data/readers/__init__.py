"""The formats that `prepare` reads; one module a format, over three ways to read rows."""
