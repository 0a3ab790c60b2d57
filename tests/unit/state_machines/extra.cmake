# Not a layer: the tables of all of them.
add_library(weir_state_machines INTERFACE)
target_link_libraries(weir_state_machines INTERFACE weir_control)
target_compile_definitions(unit_state_machines PRIVATE WEIR_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
