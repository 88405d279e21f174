libasyncnet_internal_la_SOURCES +=
