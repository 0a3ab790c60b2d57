# Optimisation of the whole program by a profile of its work: the two builds that tools/pgo makes.
#
#   WEIR_PROFILE=train   counts what it does. Wherever it runs, it adds that to profile/ there.
#   WEIR_PROFILE=use     goes by profile/ in its own build folder.
#
# A file of the profile is named after its object's place in the build folder, so one build finds
# what the other has written.
set(WEIR_PROFILE "" CACHE STRING "Profile-guided optimisation: train, use, or empty for none")
if(NOT WEIR_PROFILE)
  return()
endif()
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  message(FATAL_ERROR "WEIR_PROFILE is for g++; this is ${CMAKE_CXX_COMPILER_ID}.")
endif()

# Both have to be optimised alike before the place where g++ counts, or the counts do not fit.
set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
if(WEIR_PROFILE STREQUAL "train")
  # Workers count at the same time.
  set(profile_options -fprofile-generate=profile -fprofile-update=prefer-atomic)
elseif(WEIR_PROFILE STREQUAL "use")
  file(GLOB profile_files ${PROJECT_BINARY_DIR}/profile/*.gcda)
  if(NOT profile_files)
    message(FATAL_ERROR "There is no profile in ${PROJECT_BINARY_DIR}. Run tools/pgo: "
            "it makes one, and builds weir by it.")
  endif()
  # What the training has not reached is compiled as without a profile, not for size; an object
  # that the linker has left out of the instrumented program has none.
  set(profile_options -fprofile-use=profile -fprofile-partial-training -Wno-missing-profile)
else()
  message(FATAL_ERROR "WEIR_PROFILE is '${WEIR_PROFILE}'; it can be train or use.")
endif()
list(APPEND profile_options -fprofile-prefix-path=${PROJECT_BINARY_DIR})
target_compile_options(weir_options INTERFACE ${profile_options})
target_link_options(weir_options INTERFACE ${profile_options})
# While linking, g++ 12 takes lengths of strings in fmt and libstdc++ for impossible ones.
target_link_options(weir_options INTERFACE -Wno-stringop-overflow)
