# rapidcheck for properties; llhttp, where its sources are installed, as a second opinion.
find_package(rapidcheck REQUIRED)
target_link_libraries(unit_http PRIVATE rapidcheck)

if(EXISTS /usr/share/llhttp/llhttp.c)
  enable_language(C)
  add_library(llhttp_oracle STATIC /usr/share/llhttp/api.c /usr/share/llhttp/http.c
              /usr/share/llhttp/llhttp.c)
  target_include_directories(llhttp_oracle SYSTEM PUBLIC /usr/share/include/llhttp)
  target_compile_definitions(llhttp_oracle PUBLIC LLHTTP_STRICT_MODE=1)
  target_compile_options(llhttp_oracle PRIVATE -O1 -g0 -w)
  set_target_properties(llhttp_oracle PROPERTIES UNITY_BUILD OFF)
  target_link_libraries(unit_http PRIVATE llhttp_oracle)
  target_compile_definitions(unit_http PRIVATE WEIR_HAS_LLHTTP=1)
endif()
