# parley_add_plugin(NAME SOURCES file... [LIBRARIES target...] [NO_TEST])
#
# Builds NAME.so, a channel plugin, as the target plugin_NAME: everything in it is hidden but parley_plugin_v1, and a symbol that
# nobody defines is an error now instead of one when the daemon loads it. Beside it stands a test, parley_NAME, that runs the
# conformance kit (`parley plugin test`) on it, where the program `parley` is found and unless NO_TEST is given. What the kit takes
# from beside NAME.so (a recorded callback NAME.inbound.http, ...) is brought there from beside the first source.
function(parley_add_plugin name)
  set(map ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
  cmake_parse_arguments(PARSE_ARGV 1 plugin "NO_TEST" "" "SOURCES;LIBRARIES")
  if(NOT name MATCHES "^[a-z0-9][a-z0-9_-]*$")
    message(FATAL_ERROR "parley_add_plugin: '${name}' is no name for a plugin; use a-z 0-9 _ -, a letter or digit first")
  endif()
  if(plugin_UNPARSED_ARGUMENTS OR NOT plugin_SOURCES)
    message(FATAL_ERROR "parley_add_plugin(NAME SOURCES file... [LIBRARIES target...] [NO_TEST])")
  endif()
  set(target plugin_${name})
  add_library(${target} MODULE ${plugin_SOURCES})
  set_target_properties(${target} PROPERTIES PREFIX "" SUFFIX ".so" OUTPUT_NAME ${name}
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON LINK_DEPENDS ${map})
  target_link_libraries(${target} PRIVATE Parley::plugin ${plugin_LIBRARIES})
  target_link_options(${target} PRIVATE -Wl,--version-script=${map})
  if(NOT "${CMAKE_C_FLAGS} ${PARLEY_SANITIZE}" MATCHES "address|thread|undefined") # a sanitizer's functions are the host's
    target_link_options(${target} PRIVATE -Wl,-z,defs)
  endif()
  list(GET plugin_SOURCES 0 folder)
  get_filename_component(folder ${folder} ABSOLUTE)
  get_filename_component(folder ${folder} DIRECTORY)
  foreach(sample inbound.http answer.http peer caller options.yaml)
    if(EXISTS ${folder}/${name}.${sample})
      set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${folder}/${name}.${sample})
      add_custom_command(TARGET ${target} POST_BUILD VERBATIM COMMAND ${CMAKE_COMMAND} -E copy_if_different
        ${folder}/${name}.${sample} $<TARGET_FILE_DIR:${target}>/${name}.${sample})
    endif()
  endforeach()
  if(NOT plugin_NO_TEST AND PARLEY_PROGRAM)
    add_test(NAME parley_${name} COMMAND ${PARLEY_PROGRAM} plugin test $<TARGET_FILE:${target}>)
  elseif(NOT plugin_NO_TEST AND Parley_FOUND)
    message(STATUS "parley is not found (-DPARLEY_PROGRAM=...): ${name} is built, not tested")
  endif()
endfunction()
