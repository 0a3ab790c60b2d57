# errors_test reads docs/errors.md; access_log_test reads its lines back with a JSON parser.
target_compile_definitions(unit_proxy PRIVATE WEIR_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
target_link_libraries(unit_proxy PRIVATE nlohmann_json::nlohmann_json)
