# The reader of text vectors.
target_sources(unit_wire PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/http/vectors.cpp)
