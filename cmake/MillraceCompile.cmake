# One interface target with the warnings and sanitizers that all our code is compiled with.
add_library(millrace_compile INTERFACE)
target_include_directories(millrace_compile INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
target_compile_options(millrace_compile INTERFACE $<BUILD_INTERFACE:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion>)
# g++ 12 warns of code that is not there when it inlines std::string (gcc.gnu.org bugs 105329 and 105562).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  target_compile_options(millrace_compile INTERFACE $<BUILD_INTERFACE:-Wno-restrict;-Wno-maybe-uninitialized>)
endif()
# std::expected of libstdc++ 12 compares with a template that C++20 also considers the other way round.
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(millrace_compile INTERFACE $<BUILD_INTERFACE:-Wno-ambiguous-reversed-operator>)
endif()
if(MILLRACE_WERROR)
  target_compile_options(millrace_compile INTERFACE $<BUILD_INTERFACE:-Werror>)
endif()
if(MILLRACE_SANITIZE)
  target_compile_options(millrace_compile INTERFACE
    $<BUILD_INTERFACE:-fsanitize=${MILLRACE_SANITIZE};-fno-omit-frame-pointer;-fno-sanitize-recover=all>)
  target_link_options(millrace_compile INTERFACE $<BUILD_INTERFACE:-fsanitize=${MILLRACE_SANITIZE}>)
endif()
