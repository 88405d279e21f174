# Manual pages, made from the public headers.
