# Not a layer: it replaces operator new for a whole binary, in which the proxy layer then runs.
add_library(weir_allocations INTERFACE)
target_link_libraries(weir_allocations INTERFACE weir_proxy)
