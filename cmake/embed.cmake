# cmake -DOUT=templates.h -P embed.cmake FILE...: each file as a text constant of C, PARLEY_TEMPLATE_ and its name in capitals.
# Bytes as numbers: a string constant may hold 4095 characters only, and would need escaping.
set(header "/* Made by cmake/embed.cmake. */\n#include <parley/plugin.h>\n")
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE 4 ${last})
  set(file ${CMAKE_ARGV${i}})
  get_filename_component(name ${file} NAME)
  string(TOUPPER ${name} name)
  string(REGEX REPLACE "[^A-Z0-9]" "_" name ${name})
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(APPEND header "static const char parley_template_${name}[] = {${bytes}};\n#define PARLEY_TEMPLATE_${name} "
    "((parley_text){parley_template_${name}, sizeof parley_template_${name}})\n")
endforeach()
file(WRITE ${OUT} "${header}")
