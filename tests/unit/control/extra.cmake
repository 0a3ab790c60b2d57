# The tests read the pages under docs that must name every metric and every error word.
target_compile_definitions(unit_control PRIVATE WEIR_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
