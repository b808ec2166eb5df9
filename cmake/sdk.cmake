# What plugins are built with, within this repository and outside of it: the target Parley::plugin (the public headers and nothing
# else) and parley_add_plugin(). `cmake --install` puts both and parley.pc on a system (cmake/install.cmake).
add_library(parley_abi INTERFACE)
add_library(Parley::plugin ALIAS parley_abi)
target_include_directories(parley_abi INTERFACE ${CMAKE_SOURCE_DIR}/include)
target_compile_features(parley_abi INTERFACE c_std_11)
include(cmake/sdk/ParleyPlugin.cmake)

file(STRINGS include/parley/plugin.h lines REGEX "^#define PARLEY_ABI_M(AJOR|INOR) ")
string(REGEX REPLACE ".*MAJOR ([0-9]+).*MINOR ([0-9]+).*" "\\1.\\2" PARLEY_ABI_VERSION "${lines}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS include/parley/plugin.h)
