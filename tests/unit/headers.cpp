// Empty: unit_headers exists for its precompiled header, which the tests of every layer use.
